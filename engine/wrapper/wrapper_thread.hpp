#pragma once

// The thread "tmx-wrapper": the listener on loopback, sockets that wait to be announced or to speak, and relays.
//
// A socket that arrives is a stranger: two seconds, and not more of them than a lobby has room for. It is a process's once
// that has announced it, if the kernel says that the socket is the one announced, and that of the same user. Its first bytes
// then make it a stream, or a relay.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/control/lobby.hpp"
#include "engine/control/spare_descriptor.hpp"
#include "engine/control/throttle.hpp"
#include "engine/log/log.hpp"
#include "engine/shard/mailbox.hpp"
#include "engine/wrapper/announcement.hpp"
#include "engine/wrapper/loopback_listeners.hpp"
#include "engine/wrapper/relay.hpp"
#include "ports/diagnosis/connection_lookup.hpp"

namespace tlsmux::engine::wrapper {

// Whose the end at the first address is of the connection to the second. Called on the thread only.
using OwnerOf =
    std::function<std::optional<ports::ConnectionOwner>(const shm::PeerAddress& local, const shm::PeerAddress& remote)>;

class WrapperThread {
 public:
  using Clock = control::Lobby::Clock;

  static constexpr std::chrono::seconds kTimeToArrive{2};  // of a socket that has been announced

  // `news` and `log` outlive it.
  static std::expected<std::unique_ptr<WrapperThread>, shm::SystemError> start(LoopbackListeners listeners,
                                                                               OwnerOf owner_of,
                                                                               Mailbox<WrapperNews>& news, Log& log);
  // Ends all relays and closes all that waits.
  ~WrapperThread();
  WrapperThread(const WrapperThread&) = delete;
  WrapperThread& operator=(const WrapperThread&) = delete;

  // Any thread. Answered by one piece of news.
  void announce(Announcement announcement) { commands_.post(WrapperCommand(std::move(announcement))); }

 private:
  using Id = control::Lobby::Id;
  using Address = std::pair<std::array<std::uint8_t, 16>, std::uint16_t>;

  struct Socket {
    shm::UniqueFd socket;  // none: the relay has it
    Address remote;
    ports::ConnectionOwner owner;
    std::optional<Announcement> announcement;  // none: a stranger
    std::unique_ptr<Relay> relay;
    bool is_busy = false;  // in busy_
  };
  struct Expected {
    Announcement announcement;
    Clock::time_point deadline;
  };

  WrapperThread(LoopbackListeners listeners, OwnerOf owner_of, Mailbox<WrapperNews>& news, Log& log);
  std::expected<void, shm::SystemError> prepare();
  std::expected<void, shm::SystemError> watch(int fd, std::uint64_t label, std::uint32_t events);
  void run();
  void on_event(std::uint64_t label, std::uint32_t events);
  void on_commands();
  void on_listener(const shm::UniqueFd& listener);
  void on_no_descriptors(const shm::UniqueFd& listener);
  void watch_listeners(std::uint32_t events);
  void arrive(shm::UniqueFd socket);
  void expect(Announcement announcement);
  bool pair(Id id, Announcement& announcement);
  void hear(Id id, std::uint32_t events);
  void start_stream(Id id);
  void start_relay(Id id);
  void move(Id id);
  void close(Id id, bool reset);
  void shed(Id id);
  void expire(Clock::time_point now);
  [[nodiscard]] int milliseconds_to_deadline() const;

  LoopbackListeners listeners_;
  OwnerOf owner_of_;
  Mailbox<WrapperNews>& news_;
  Log& log_;
  Mailbox<WrapperCommand> commands_;
  shm::UniqueFd poll_;
  control::SpareDescriptor spare_;
  std::optional<Clock::time_point> accepts_again_;  // the listeners are not watched until then
  control::Lobby lobby_;
  std::unordered_map<Id, Socket> sockets_;
  std::map<Address, Id> strangers_;
  std::map<Address, Expected> expected_;
  std::vector<Id> busy_;
  control::Throttle refusals_;  // in the log
  control::Throttle exhausted_;
  Id last_id_ = 0;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tlsmux::engine::wrapper
