#pragma once

// Descriptors that every channel of a client watches, in the epoll instance of each. They come and go with engines,
// while the instances stay. Not thread-safe: guarded by the client's mutex.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <vector>

#include "shm/system/system_error.hpp"

namespace tlsmux::client {

// What stands in an epoll event's `data.u32`.
enum class EventSource : std::uint32_t { wake = 1, nudge = 2, timer = 3, client = 4 };

enum class Trigger : std::uint8_t {
  level,
  edge,  // each write is reported once, and the descriptor need not be read
};

std::expected<void, shm::SystemError> watch(int epoll, int descriptor, EventSource source,
                                            Trigger trigger = Trigger::level);
// For a descriptor that is watched.
void set_trigger(int epoll, int descriptor, EventSource source, Trigger trigger);
// Before the descriptor is closed: a forked child may still have it open, and then the kernel would go on reporting.
void unwatch(int epoll, int descriptor);

class EventHub {
 public:
  EventHub() { descriptors_.reserve(kDescriptorsMax); }

  // The next join() needs no memory any more.
  void make_room() { epolls_.reserve(epolls_.size() + 1); }
  // An error leaves everything as it was.
  std::expected<void, shm::SystemError> join(int epoll);
  void leave(int epoll);
  std::expected<void, shm::SystemError> add(int descriptor);
  void remove(int descriptor);

 private:
  static constexpr std::size_t kDescriptorsMax = 3;  // the timer, the control socket, the engine's process

  std::vector<int> epolls_;
  std::vector<int> descriptors_;
};

}  // namespace tlsmux::client
