#include "client/attach_attempt.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include "client/control_socket.hpp"

namespace tlsmux::client {

using shm::SystemError;

std::expected<std::optional<shm::Packet>, SystemError> receive_now(int socket) {
  auto packet = shm::receive_packet(socket);
  if (!packet) {
    if (packet.error().code == EAGAIN) return std::nullopt;
    return std::unexpected(packet.error());
  }
  if (packet->bytes.empty()) {
    return std::unexpected(SystemError{.code = ECONNRESET, .message = "the engine closed the control socket"});
  }
  return std::move(*packet);
}

SystemError error_from(std::int32_t code, std::string_view words) {
  std::string text(words);
  std::ranges::replace_if(text, [](unsigned char letter) { return std::iscntrl(letter) != 0; }, '?');
  return {.code = code > 0 ? code : EPROTO, .message = std::move(text)};
}

std::optional<SystemError> refusal_in(const shm::Packet& packet) {
  shm::Refusal refusal;
  if (!shm::read_message(packet, refusal)) return std::nullopt;
  return error_from(refusal.error, shm::text_of(refusal.text));
}

std::expected<AttachAttempt, SystemError> AttachAttempt::start(const std::string& control_socket,
                                                               const shm::AttachRequest& request, std::uint32_t epoch,
                                                               std::shared_ptr<const ForkGuard> fork_guard) {
  auto socket = connect_to_engine(control_socket);
  if (!socket) return std::unexpected(socket.error());
  if (auto sent = shm::send_message(socket->get(), request); !sent) return std::unexpected(sent.error());
  AttachAttempt attempt;
  attempt.epoch_ = epoch;
  attempt.fork_guard_ = std::move(fork_guard);
  attempt.connection_.control = std::move(*socket);
  return attempt;
}

std::expected<std::optional<EngineConnection>, SystemError> AttachAttempt::advance() {
  auto packet = receive_now(socket());
  if (!packet) return std::unexpected(packet.error());
  if (!packet->has_value()) return std::nullopt;
  if (auto refused = refusal_in(**packet)) return std::unexpected(*refused);
  if (auto taken = take_reply(**packet); !taken) return std::unexpected(taken.error());
  return std::move(connection_);
}

std::expected<void, SystemError> AttachAttempt::take_reply(shm::Packet& packet) {
  shm::AttachReply reply;
  auto& received = packet.descriptors;
  if (!shm::read_message(packet, reply) || received.size() != 4) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "the engine speaks another version of the protocol"});
  }
  AttachDescriptors descriptors{.group = std::move(received[0]),
                                .client_memory = std::move(received[1]),
                                .doorbell = std::move(received[2]),
                                .engine = std::move(received[3])};
  auto attachment = Attachment::accept(reply, descriptors, epoch_, fork_guard_);
  if (!attachment) return std::unexpected(attachment.error());
  connection_.attachment = std::move(*attachment);
  connection_.engine = std::move(descriptors.engine);
  return shm::send_message(socket(), shm::MappedNotice{});
}

}  // namespace tlsmux::client
