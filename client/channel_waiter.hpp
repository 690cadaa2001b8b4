#pragma once

// What a channel sleeps on: its epoll instance, which is also the descriptor that the application may watch.
//
// In it: the wake eventfd of the present engine, an eventfd by which the client's other threads and the channel itself
// make it ready, the client's descriptors (see event_hub.hpp), and, for applications that wait by themselves, a timer
// for the earliest deadline. One thread, but anyone may write to the nudge.
//
// While nobody else watches, a wake costs no read: its eventfd is edge-triggered and only ever counts up.

#include <cstdint>
#include <expected>

#include "client/event_hub.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::client {

class ChannelWaiter {
 public:
  static std::expected<ChannelWaiter, shm::SystemError> create();

  [[nodiscard]] int epoll() const { return epoll_.get(); }
  [[nodiscard]] int nudge_descriptor() const { return nudge_.get(); }

  // The eventfd by which the engine wakes this channel, until `clear_wake`; it stays open as long.
  std::expected<void, shm::SystemError> set_wake(int wake);
  void clear_wake();

  // Waits for an event, takes it, and says whether the client has something to do.
  bool wait(int timeout_ms);

  void nudge();
  void take_wake();

  // From here on the timer is kept. An error leaves it as it was.
  std::expected<void, shm::SystemError> expose();
  [[nodiscard]] bool is_exposed() const { return static_cast<bool>(timer_); }
  // Requires is_exposed(). Ready at this time at the latest, and not because of an earlier one.
  void be_ready_at(std::int64_t when_ns, std::int64_t now);
  // The same, but an earlier setting stays.
  void be_ready_by(std::int64_t when_ns);

 private:
  shm::UniqueFd epoll_;
  shm::UniqueFd nudge_;
  shm::UniqueFd timer_;
  int wake_ = -1;
  std::int64_t timer_set_ns_ = 0;
};

}  // namespace tlsmux::client
