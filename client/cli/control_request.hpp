#pragma once

// One request to the engine's control socket, and its answer.

#include <expected>
#include <string>

#include "shm/control_protocol.hpp"
#include "shm/function_ref.hpp"
#include "shm/system/seqpacket.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::client::cli {

inline constexpr int kAnswerTimeoutMs = 3000;
inline constexpr int kLookIntervalMs = 1000;  // at the engine, while its answer takes time

// ECONNREFUSED: no engine; ETIMEDOUT: it takes nobody in.
std::expected<shm::UniqueFd, shm::SystemError> connect_to(const std::string& control_socket);

// The next packet, within the time; a refusal is an error. ETIMEDOUT: none has come yet.
std::expected<shm::Packet, shm::SystemError> receive_answer(const shm::UniqueFd& socket, int timeout_ms);

// Sends one request and returns its answer; a refusal is an error. When none has come after `patience_ms`,
// `goes_on_waiting` says whether to wait for so long again.
template <typename Answer, typename Request>
std::expected<shm::Packet, shm::SystemError> ask(const std::string& control_socket, const Request& request,
                                                 Answer& answer, int patience_ms,
                                                 shm::FunctionRef<bool()> goes_on_waiting) {
  const auto socket = connect_to(control_socket);
  if (!socket) return std::unexpected(socket.error());
  if (auto sent = shm::send_message(socket->get(), request); !sent) return std::unexpected(sent.error());
  auto packet = receive_answer(*socket, patience_ms);
  while (!packet && packet.error().code == ETIMEDOUT && goes_on_waiting()) {
    packet = receive_answer(*socket, patience_ms);
  }
  if (packet && !shm::read_message(*packet, answer)) {
    return std::unexpected(
        shm::SystemError{.code = EPROTO, .message = control_socket + ": no answer that this program understands"});
  }
  return packet;
}

// For answers that come at once.
template <typename Answer, typename Request>
std::expected<shm::Packet, shm::SystemError> ask(const std::string& control_socket, const Request& request,
                                                 Answer& answer) {
  return ask(control_socket, request, answer, kAnswerTimeoutMs, [] { return false; });
}

}  // namespace tlsmux::client::cli
