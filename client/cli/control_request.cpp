#include "client/cli/control_request.hpp"

#include <cerrno>

#include "client/control_socket.hpp"

namespace tlsmux::client::cli {

using shm::SystemError;

std::expected<shm::UniqueFd, SystemError> connect_to(const std::string& control_socket) {
  auto socket = connect_to_engine(control_socket, kAnswerTimeoutMs);
  if (socket || socket.error().code != EAGAIN) return socket;
  return std::unexpected(
      SystemError{.code = ETIMEDOUT, .message = "more wait on " + control_socket + " than its engine has taken in"});
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
