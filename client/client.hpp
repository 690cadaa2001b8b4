#pragma once

// What the channels of one attached process share: the link to the engine and the control socket's questions, behind
// one mutex. The mutex is held for a moment at a time, never across a wait, and never on the way of a request.

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>

#include "client/channel_registry.hpp"
#include "client/engine_link.hpp"
#include "client/fork_guard.hpp"

namespace tlsmux::client {

class ClientPorts;

class Client {
 public:
  // Blocks for the options' timeout at the most. What a tmx_attach returns, as a positive errno.
  static std::expected<std::shared_ptr<Client>, shm::SystemError> attach(ClientOptions options);

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Any thread, no lock.
  [[nodiscard]] bool in_child() const { return fork_guard_->in_child(); }
  [[nodiscard]] const ClientOptions& options() const { return options_; }

  // Any thread from here on; not in a forked child.

  // Does all that is due, without blocking: death, messages, attempts to attach, channels to open and close.
  void step(std::int64_t now);
  // This attachment is not to be trusted any more. Never fails for want of memory.
  void condemn(const Attachment& attachment, const char* why, std::int64_t now);

  // A channel whose epoll instance and eventfd are these joins. Its owner is nudged when there is something to claim.
  std::expected<ChannelTicket*, shm::SystemError> enroll(const shm::Name& upstream, const ChannelSettings& settings,
                                                         int epoll, int nudge);
  // Steps, then hands over what the engine has opened. ENOTCONN: not yet; else why the engine refuses.
  std::expected<std::unique_ptr<AttachedChannel>, int> claim(ChannelTicket* ticket, std::int64_t now);
  // It could not be used just now, and is to be claimed again.
  void give_back(ChannelTicket* ticket, std::unique_ptr<AttachedChannel> claimed);
  // Returns when the engine's next message is there, or at this time, or when there is no engine.
  void look_for_answer(std::int64_t until_ns);
  void leave(ChannelTicket* ticket, int epoll, std::unique_ptr<AttachedChannel> attached);

  // Made on first use.
  ClientPorts& ports();

  [[nodiscard]] bool has_channels();
  [[nodiscard]] std::string last_error();

 private:
  friend class ClientPorts;  // the port questions are the control socket's as well

  Client(ClientOptions options, std::shared_ptr<const ForkGuard> fork_guard);

  void step_locked(std::int64_t now);
  void step_quietly(ChannelTicket& ticket, std::int64_t now);
  void drive(std::int64_t now);
  std::expected<void, shm::SystemError> take(shm::Packet& packet, std::int64_t now);
  void pump(std::int64_t now);
  [[nodiscard]] bool asks_for_port() const;
  void set_timer(std::int64_t now);
  std::expected<void, shm::SystemError> wait_until_attached();
  void note_error(const shm::SystemError& error);

  const ClientOptions options_;
  const std::shared_ptr<const ForkGuard> fork_guard_;

  std::mutex mutex_;  // guards what follows
  EventHub hub_;
  EngineLink link_;
  ChannelRegistry registry_;
  std::unique_ptr<ClientPorts> ports_owner_;
  bool is_channels_turn_ = true;  // to ask, before the ports
  std::uint32_t epoch_ = 0;       // of the attachment that the registry knows; 0: none
  shm::UniqueFd timer_;           // fires when a step is due
  std::int64_t timer_set_ns_ = kNever;
  std::string last_error_;

  std::atomic<ClientPorts*> ports_ = nullptr;  // the owner's, for those without the mutex
};

}  // namespace tlsmux::client
