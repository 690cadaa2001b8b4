#pragma once

// How long a data loop that has nothing to do goes on looking before it sleeps. Looking costs processor time; sleeping
// costs the next message a wake, some microseconds, and its sender a system call. No clock of its own.
//
//   latency   always looks for kLatencySpinNs
//   balanced  looks as long as it is likely to pay: while idle periods have lately been shorter than kBalancedSpinNs
//   power     sleeps at once

#include <cstdint>

#include "config/config.hpp"

namespace tlsmux::engine {

class Idle {
 public:
  static constexpr std::uint64_t kLatencySpinNs = 1'000'000;
  // About what a sleep and a wake cost both sides together: to look for longer costs more than it can save.
  static constexpr std::uint64_t kBalancedSpinNs = 25'000;

  // For the idle period that begins now. 0: sleep.
  [[nodiscard]] std::uint64_t spin_ns(config::IdleStrategy strategy) const;

  // An idle period is over, and has lasted so long.
  void ended(std::uint64_t idle_ns);

 private:
  // So that one long sleep is forgotten after a few short periods.
  static constexpr std::uint64_t kSampleNsMax = 8 * kBalancedSpinNs;

  std::uint64_t expected_ns_ = kSampleNsMax;  // a moving average
};

}  // namespace tlsmux::engine
