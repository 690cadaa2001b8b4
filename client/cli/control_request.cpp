#include "client/cli/control_request.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>

namespace tlsmux::client::cli {

using shm::SystemError;

std::expected<shm::UniqueFd, SystemError> connect_to(const std::string& control_socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (control_socket.size() >= sizeof address.sun_path) {
    return std::unexpected(SystemError{.code = ENAMETOOLONG, .message = control_socket + ": too long for a socket"});
  }
  std::ranges::copy(control_socket, address.sun_path);
  shm::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(shm::last_error("making a socket"));
  const timeval timeout{.tv_sec = kAnswerTimeoutMs / 1000, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return std::unexpected(shm::last_error("connecting to " + control_socket));
  }
  return socket;
}

std::expected<shm::Packet, SystemError> receive_answer(const shm::UniqueFd& socket, int timeout_ms) {
  if (auto ready = shm::wait_readable(socket.get(), timeout_ms); !ready) return std::unexpected(ready.error());
  auto packet = shm::receive_packet(socket.get());
  if (!packet) return packet;
  if (packet->bytes.empty()) {
    return std::unexpected(SystemError{.code = ECONNRESET, .message = "the engine has gone before it answered"});
  }
  if (shm::Refusal refusal; shm::read_message(*packet, refusal)) {
    return std::unexpected(SystemError{.code = refusal.error, .message = std::string(shm::text_of(refusal.text))});
  }
  if (shm::DetachedNotice notice; shm::read_message(*packet, notice)) {
    return std::unexpected(SystemError{.code = notice.error, .message = std::string(shm::text_of(notice.text))});
  }
  return packet;
}

}  // namespace tlsmux::client::cli
