#include "ports/enforcement/reservation_journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "ports/enforcement/network_cookie.hpp"
#include "shm/system/machine_boot.hpp"
#include "shm/system/private_file.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {
namespace {

constexpr std::string_view kTitle = "tlsmux reserved ports, version 1";
constexpr std::size_t kReadBytes = 4096;

std::expected<std::string, shm::SystemError> read_all(const std::string& path) {
  const shm::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::unexpected(shm::last_error("opening " + path));
  std::string text;
  while (true) {
    const auto before = text.size();
    text.resize(before + kReadBytes);
    const auto size = ::read(file.get(), text.data() + before, kReadBytes);
    if (size < 0 && errno != EINTR) return std::unexpected(shm::last_error("reading " + path));
    text.resize(before + (size > 0 ? static_cast<std::size_t>(size) : 0));
    if (size == 0) return text;
  }
}

// The lines above the ports: what they are, and where they count.
std::expected<std::string, shm::SystemError> heading() {
  const auto boot = shm::machine_boot_id();
  if (!boot) return std::unexpected(boot.error());
  struct stat network{};
  if (::stat("/proc/thread-self/ns/net", &network) != 0) {
    return std::unexpected(shm::last_error("looking at the network namespace"));
  }
  return std::string(kTitle) + "\nboot " + *boot + "\nnetwork " + std::to_string(network.st_ino) + " " +
         std::to_string(network_cookie()) + "\n";
}

}  // namespace

std::expected<PortSet, shm::SystemError> ReservationJournal::load() const {
  const auto text = read_all(path_);
  if (!text && text.error().code == ENOENT) return PortSet{};
  if (!text) return std::unexpected(text.error());
  const auto here = heading();
  if (!here) return std::unexpected(here.error());

  const std::string_view view(*text);
  const auto bad = [&](const std::string& why) {
    return std::unexpected(shm::SystemError{
        .code = EBADMSG,
        .message = path_ + ": " + why + "; remove it, and tlsmux's ports from net.ipv4.ip_local_reserved_ports"});
  };
  if (!view.starts_with(kTitle)) return bad("it does not begin with \"" + std::string(kTitle) + "\"");
  if (!view.starts_with(*here)) return PortSet{};
  auto line = view.substr(here->size());
  if (!line.starts_with("ports ") || !line.ends_with('\n')) return bad("its line of ports is missing");
  line.remove_prefix(std::string_view("ports ").size());
  line.remove_suffix(1);
  auto ports = PortSet::parse(line);
  if (!ports) return bad(ports.error());
  return *std::move(ports);
}

std::expected<void, shm::SystemError> ReservationJournal::store(const PortSet& ports) const {
  const auto here = heading();
  if (!here) return std::unexpected(here.error());
  constexpr mode_t kReadableByAll = 0644;
  return shm::replace_file(path_, *here + "ports " + ports.text() + "\n", kReadableByAll);
}

std::expected<void, shm::SystemError> ReservationJournal::remove() const {
  if (::unlink(path_.c_str()) == 0 || errno == ENOENT) return {};
  return std::unexpected(shm::last_error("removing " + path_));
}

}  // namespace tlsmux::ports
