// The guard of a build without eBPF. TLSMUX_GUARD_LACKS names what was not found when it was configured.

#include <cerrno>

#include "ports/guard.hpp"

namespace tlsmux::ports {
namespace {

std::string words() {
  return "this tlsmux was built without its eBPF guard: " TLSMUX_GUARD_LACKS
         " not found. Install clang, bpftool and libbpf's development files (on Debian by scripts/setup) and build "
         "again";
}

}  // namespace

struct Guard::Parts {};

Guard::Guard(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Guard::Guard(Guard&&) noexcept = default;
Guard& Guard::operator=(Guard&&) noexcept = default;
Guard::~Guard() = default;

std::expected<void, std::string> Guard::probe(const GuardPlace&) { return std::unexpected(words()); }
std::expected<Guard, std::string> Guard::put(const GuardPlace&, const GuardRules&, const Guard*) {
  return std::unexpected(words());
}
std::expected<bool, std::string> Guard::remove(const GuardPlace&) { return false; }
std::vector<std::string> Guard::instances(const std::string&) { return {}; }
std::expected<void, std::string> Guard::set_rules(const GuardRules&) { return std::unexpected(words()); }
std::expected<void, shm::SystemError> Guard::admit(std::string_view, pid_t) {
  return std::unexpected(shm::SystemError{.code = ENOSYS, .message = words()});
}
void Guard::dismiss(std::string_view, pid_t) {}
void Guard::dismiss_all() {}
std::vector<shm::UniqueFd> Guard::event_descriptors() const { return {}; }

}  // namespace tlsmux::ports
