#include "engine/shard/idle.hpp"

#include <algorithm>

namespace tlsmux::engine {

std::uint64_t Idle::spin_ns(config::IdleStrategy strategy) const {
  switch (strategy) {
    case config::IdleStrategy::latency: return kLatencySpinNs;
    case config::IdleStrategy::balanced: return expected_ns_ <= kBalancedSpinNs ? kBalancedSpinNs : 0;
    case config::IdleStrategy::power: return 0;
  }
  return 0;
}

void Idle::ended(std::uint64_t idle_ns) {
  constexpr std::uint64_t kWeight = 8;  // of the past, against 1 of the new
  expected_ns_ = (expected_ns_ * (kWeight - 1) + std::min(idle_ns, kSampleNsMax)) / kWeight;
}

}  // namespace tlsmux::engine
