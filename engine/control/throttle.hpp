#pragma once

// Lets a few events a second through and counts the rest: so that nobody can flood the log.

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace tlsmux::engine::control {

class Throttle {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::uint32_t kPerSecondMax = 10;

  // How many were held back since the last one that passed, if this one passes.
  std::optional<std::uint64_t> pass(Clock::time_point now) {
    if (now - second_started_ >= std::chrono::seconds(1)) {
      second_started_ = now;
      passed_ = 0;
    }
    if (passed_ == kPerSecondMax) {
      ++held_back_;
      return std::nullopt;
    }
    ++passed_;
    return std::exchange(held_back_, 0);
  }

 private:
  Clock::time_point second_started_;
  std::uint32_t passed_ = 0;
  std::uint64_t held_back_ = 0;
};

}  // namespace tlsmux::engine::control
