#pragma once

// The way to the engine: found, lost, found again. Never blocks. Not thread-safe: guarded by the client's mutex.
//
//   away --attempt--> attached --the pidfd fires--> away (engine_died)
//                              --detached notice, nonsense--> away (detached)
//                              --control socket closed--> hung up --pidfd fires--> away (engine_died)
//                                                                 --a moment later--> away (detached)
//
// A dying process closes its files a little before its pidfd fires: hence the moment.

#include <cstdint>
#include <optional>
#include <string>

#include "client/attach_attempt.hpp"
#include "client/event_hub.hpp"

namespace tlsmux::client {

struct ClientOptions {
  std::string group;
  std::string control_socket;
  std::uint32_t channels = 0;
  std::uint32_t timeout_ms = 0;
  std::uint32_t spin_us = 0;
  std::uint32_t look_us = 0;  // before sleeping over an answer to attach or open_channel
  bool reattach = true;
};

class EngineLink {
 public:
  // Both outlive it.
  EngineLink(const ClientOptions& options, EventHub& hub, std::shared_ptr<const ForkGuard> fork_guard)
      : options_(options), hub_(hub), fork_guard_(std::move(fork_guard)) {}

  // Does what is due.
  void step(std::int64_t now);
  // When `step` has something to do although no descriptor is ready.
  [[nodiscard]] std::int64_t next_step_ns() const;

  // Null: away.
  [[nodiscard]] const std::shared_ptr<Attachment>& attachment() const { return connection_.attachment; }
  // -1: no messages can be sent.
  [[nodiscard]] int control() const { return connection_.control.get(); }
  // What answers an attempt to attach; -1: none is under way.
  [[nodiscard]] int attempt_socket() const { return attempt_ ? attempt_->socket() : -1; }
  // The pidfd of the engine; -1: away.
  [[nodiscard]] int engine() const { return connection_.engine.get(); }
  // The next message of the engine, if there is one. Notices about the link itself are dealt with here.
  std::optional<shm::Packet> receive(std::int64_t now);

  void lose(Loss loss, shm::SystemError why, std::int64_t now);
  // For the parent process only: tells the engine at once, even if a forked child still holds the socket.
  void say_goodbye();

  // How often attaching failed since it last worked, and why it failed or was lost last.
  [[nodiscard]] std::uint32_t failures() const { return failures_; }
  [[nodiscard]] const shm::SystemError& last_failure() const { return last_failure_; }

 private:
  void begin_attempt(std::int64_t now);
  void advance_attempt(std::int64_t now);
  void fail_attempt(shm::SystemError why, std::int64_t now);
  void hang_up(std::int64_t now);

  const ClientOptions& options_;
  EventHub& hub_;
  std::shared_ptr<const ForkGuard> fork_guard_;

  EngineConnection connection_;
  std::int64_t hung_up_until_ns_ = 0;  // 0: not hung up

  std::optional<AttachAttempt> attempt_;
  std::int64_t attempt_until_ns_ = 0;
  std::int64_t next_attempt_ns_ = 0;
  std::uint32_t epochs_ = 0;
  std::uint32_t failures_ = 0;
  bool was_attached_ = false;
  shm::SystemError last_failure_;
};

}  // namespace tlsmux::client
