#pragma once

// epoll with typed labels. Closing a descriptor takes it out.

#include <sys/epoll.h>

#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

enum class Source : std::uint8_t { listener, signals, broker, memory_fault, ports, wrapper, shard, socket, process };

// What an event is about; `id` is a client's number, or a shard's.
struct EventLabel {
  Source source{};
  std::uint64_t id = 0;  // below 2^56
};

class EventPoll {
 public:
  static std::expected<EventPoll, shm::SystemError> create();

  std::expected<void, shm::SystemError> add(int fd, EventLabel label, std::uint32_t events = EPOLLIN);
  // Of one that was added; 0: only errors and hang-ups. Cannot fail for want of anything.
  void change(int fd, EventLabel label, std::uint32_t events);
  // Needed before closing what another process or descriptor keeps open: the kernel watches the open file.
  void remove(int fd);

  // Level-triggered. -1: without limit. An interrupted wait returns nothing.
  std::span<const EventLabel> wait(int timeout_ms);

 private:
  shm::UniqueFd fd_;
  std::vector<EventLabel> ready_;
};

}  // namespace tlsmux::engine::control
