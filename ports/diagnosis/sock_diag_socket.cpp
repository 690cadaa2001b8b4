#include "ports/diagnosis/sock_diag_socket.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>

namespace tlsmux::ports {

std::expected<shm::UniqueFd, shm::SystemError> open_sock_diag() {
  shm::UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!socket) return std::unexpected(shm::last_error("opening a sock_diag socket"));
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) != 0) {
    return std::unexpected(shm::last_error("connecting a sock_diag socket"));
  }
  return socket;
}

}  // namespace tlsmux::ports
