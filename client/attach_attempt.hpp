#pragma once

// One attempt to attach to an engine, as a state machine that never blocks.

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "client/attachment.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::client {

// An engine that serves this process.
struct EngineConnection {
  shm::UniqueFd control;
  shm::UniqueFd engine;  // pidfd
  std::shared_ptr<Attachment> attachment;
};

class AttachAttempt {
 public:
  // Connects and asks. ECONNREFUSED: nobody listens. EAGAIN: the engine has no room for one more at the moment.
  static std::expected<AttachAttempt, shm::SystemError> start(const std::string& control_socket,
                                                              const shm::AttachRequest& request, std::uint32_t epoch,
                                                              std::shared_ptr<const ForkGuard> fork_guard);

  // Call when the socket is readable, or at any time. Nothing: it goes on. An error ends the attempt: the engine's
  // refusal with its errno and words, ECONNRESET when the engine went away, EPROTO when it said something else.
  // The engine has yet to seal the memory and does not say when it has; if it cannot serve, it detaches.
  std::expected<std::optional<EngineConnection>, shm::SystemError> advance();

  [[nodiscard]] int socket() const { return connection_.control.get(); }

 private:
  std::expected<void, shm::SystemError> take_reply(shm::Packet& packet);

  std::uint32_t epoch_ = 0;
  std::shared_ptr<const ForkGuard> fork_guard_;
  EngineConnection connection_;
};

// A non-blocking receive: nothing when no packet is there; ECONNRESET when the other side has closed.
std::expected<std::optional<shm::Packet>, shm::SystemError> receive_now(int socket);

// An errno and words as they came over the socket; the words may end on a terminal and are made printable.
shm::SystemError error_from(std::int32_t code, std::string_view words);

// The error that a refusal stands for, if the packet is one.
std::optional<shm::SystemError> refusal_in(const shm::Packet& packet);

}  // namespace tlsmux::client
