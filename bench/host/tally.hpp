#pragma once

#include <atomic>
#include <cstdint>

namespace tlsmux::bench {

// What the host has counted since it started. Any thread.
struct HostTally {
  std::atomic<std::uint64_t> handshakes{0};
  std::atomic<std::uint64_t> resumed{0};  // of these
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> errors{0};  // handshakes that failed, frames that are none of ours
};

}  // namespace tlsmux::bench
