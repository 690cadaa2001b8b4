#pragma once

// How soon an engine that died is started again: at once, unless engines keep dying young.

#include <algorithm>
#include <chrono>

namespace tlsmux::engine::broker {

class RestartPolicy {
 public:
  using Duration = std::chrono::milliseconds;

  static constexpr Duration kYoung{1'000};
  static constexpr Duration kDelayMin{100};
  static constexpr Duration kDelayMax{5'000};

  // Given how long the one that has just died had lived.
  Duration next_delay(Duration lived) {
    if (lived >= kYoung) next_ = Duration(0);
    const auto delay = next_;
    next_ = std::clamp(2 * next_, kDelayMin, kDelayMax);
    return delay;
  }

 private:
  Duration next_{0};
};

}  // namespace tlsmux::engine::broker
