#pragma once

#include <cstdint>

namespace tlsmux::engine {

// Eventfds, as a shard needs them: those that clients ring, and those by which it wakes clients. The engine implements
// it on io_uring, tests and the simulator on nothing. No call blocks or calls back.
class Bells {
 public:
  virtual ~Bells() = default;
  // Leads to `rung` each time the descriptor is written. It must stay open until `unwatched`.
  virtual void watch(std::uint32_t client_index, int descriptor) = 0;
  virtual void unwatch(std::uint32_t client_index) = 0;
  // Adds 1 to the descriptor, which must stay open until `woken`. One at a time for each channel.
  virtual void wake(std::uint32_t channel_ref, int descriptor) = 0;
};

}  // namespace tlsmux::engine
