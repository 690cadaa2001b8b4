#pragma once

#include <cstdint>
#include <ctime>

namespace tlsmux::bench {

// CLOCK_MONOTONIC: the same for all processes of the machine.
inline std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace tlsmux::bench
