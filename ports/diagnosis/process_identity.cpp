#include "ports/diagnosis/process_identity.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "shm/system/pidfd.hpp"

namespace tlsmux::ports {
namespace {

// A process has at most 65,536 supplementary groups (NGROUPS_MAX) of up to 11 characters.
constexpr std::size_t kStatusBytesMax = 1U << 20;

std::expected<std::string, shm::SystemError> read_status(pid_t pid) {
  const auto path = "/proc/" + std::to_string(pid) + "/status";
  const shm::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::unexpected(shm::last_error("opening " + path));
  std::string text;
  std::array<char, 4096> some{};
  while (text.size() < kStatusBytesMax) {
    const auto got = ::read(file.get(), some.data(), some.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(shm::last_error("reading " + path));
    if (got == 0) return text;
    text.append(some.data(), static_cast<std::size_t>(got));
  }
  return std::unexpected(shm::SystemError{.code = EFBIG, .message = path + " is too long"});
}

// The numbers of the line that begins so. proc_pid_status(5): a process cannot put a line's end into its name.
std::vector<std::uint32_t> numbers_of(std::string_view status, std::string_view key) {
  std::vector<std::uint32_t> numbers;
  const auto start = status.find("\n" + std::string(key) + ":");
  if (start == std::string_view::npos) return numbers;
  status.remove_prefix(start + key.size() + 2);
  status = status.substr(0, status.find('\n'));
  while (true) {
    const auto digit = status.find_first_of("0123456789");
    if (digit == std::string_view::npos) return numbers;
    status.remove_prefix(digit);
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(status.data(), status.data() + status.size(), number);
    if (error != std::errc{}) return {};
    numbers.push_back(number);
    status.remove_prefix(static_cast<std::size_t>(end - status.data()));
  }
}

}  // namespace

std::expected<ProcessIdentity, shm::SystemError> identify_process(pid_t pid) {
  ProcessIdentity identity;
  // Before the look, so that it is this process's status if it is alive afterwards, and not that of a later one.
  identity.pidfd = shm::open_pidfd(pid);
  if (!identity.pidfd) return std::unexpected(shm::last_error("watching process " + std::to_string(pid)));
  const auto status = read_status(pid);
  const auto dead = [&] {
    return std::unexpected(shm::SystemError{.code = ESRCH, .message = "process " + std::to_string(pid) + " has ended"});
  };
  if (shm::is_dead(identity.pidfd.get())) return dead();
  if (!status) return std::unexpected(status.error());
  const auto uids = numbers_of(*status, "Uid");
  const auto gids = numbers_of(*status, "Gid");
  if (uids.size() != 4 || gids.size() != 4) return dead();
  identity.uid = uids.front();
  identity.gids = numbers_of(*status, "Groups");
  identity.gids.insert(identity.gids.begin(), gids.front());
  return identity;
}

}  // namespace tlsmux::ports
