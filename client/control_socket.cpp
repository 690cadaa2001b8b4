#include "client/control_socket.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace tlsmux::client {

using shm::SystemError;

std::expected<shm::UniqueFd, SystemError> connect_to_engine(const std::string& control_socket,
                                                            std::optional<std::uint32_t> patience_ms) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (control_socket.size() >= sizeof address.sun_path) {
    return std::unexpected(
        SystemError{.code = EINVAL, .message = "the path of the control socket is too long: " + control_socket});
  }
  std::memcpy(address.sun_path, control_socket.data(), control_socket.size());
  shm::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | (patience_ms ? 0 : SOCK_NONBLOCK), 0));
  if (!socket) return std::unexpected(shm::last_error("making a socket"));
  if (patience_ms) {
    const timeval timeout{.tv_sec = *patience_ms / 1000, .tv_usec = *patience_ms % 1000 * 1000};
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) {
      return std::unexpected(shm::last_error("setting a time-out"));
    }
  }
  int result = -1;
  do {
    result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return socket;

  auto error = shm::last_error("connecting to " + control_socket);
  if (error.code == ENOENT || error.code == ECONNREFUSED) {
    error = {.code = ECONNREFUSED, .message = "no engine listens on " + control_socket + ": is tlsmuxd running?"};
  }
  return std::unexpected(error);
}

}  // namespace tlsmux::client
