#pragma once

#include <ctime>

#include <cstdint>

namespace tlsmux::client {

inline constexpr std::int64_t kNanosecondsPerMillisecond = 1'000'000;

// CLOCK_MONOTONIC; no system call where the kernel offers its clock in the vDSO.
inline std::int64_t now_ns() {
  timespec now{};
  static_cast<void>(::clock_gettime(CLOCK_MONOTONIC, &now));  // this clock always works
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The same some milliseconds late, and many times cheaper.
inline std::int64_t coarse_now_ns() {
  timespec now{};
  static_cast<void>(::clock_gettime(CLOCK_MONOTONIC_COARSE, &now));
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

constexpr std::int64_t us_to_ns(std::uint32_t us) { return std::int64_t{us} * 1000; }
constexpr std::int64_t ms_to_ns(std::uint32_t ms) { return ms * kNanosecondsPerMillisecond; }

// For poll and epoll_wait: rounded up, so that a wait never ends before its time. 0 when it is over.
constexpr int ms_until(std::int64_t when_ns, std::int64_t now) {
  if (when_ns <= now) return 0;
  const auto ms = (when_ns - now - 1) / kNanosecondsPerMillisecond + 1;
  return ms < 1'000'000'000 ? static_cast<int>(ms) : 1'000'000'000;
}

}  // namespace tlsmux::client
