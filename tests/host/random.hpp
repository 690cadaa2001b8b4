#pragma once

#include <cstdint>

namespace tlsmux::host {

// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose delays and victims.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // 0 to `bound` - 1; the bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  bool percent(double chance) { return static_cast<double>(next() >> 11) * 0x1p-53 * 100 < chance; }

 private:
  std::uint64_t state_;
};

}  // namespace tlsmux::host
