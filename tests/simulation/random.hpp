#pragma once

// The one source of chance in a simulation: the same seed, the same run.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>

namespace tlsmux::simulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t next() { return engine_(); }
  // 0 to n - 1. Requires n > 0.
  std::uint64_t below(std::uint64_t n) { return engine_() % n; }
  std::uint64_t between(std::uint64_t lowest, std::uint64_t highest) { return lowest + below(highest - lowest + 1); }
  bool chance(std::uint32_t permille) { return permille > 0 && below(1000) < permille; }

  // A part of `total` bytes, as the kernel might take or give: often all, often a single byte. Requires total > 0.
  std::size_t piece(std::size_t total) {
    switch (below(4)) {
      case 0: return total;
      case 1: return 1;
      default: return between(1, total);
    }
  }

  template <typename Container>
  auto& pick(Container& from) {
    return from[below(std::size(from))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tlsmux::simulation
