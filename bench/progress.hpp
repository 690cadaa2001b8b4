#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "bench/monotonic_clock.hpp"

namespace tlsmux::bench {

// Lines on standard error that say what is going on, with the time since the start.
class Progress {
 public:
  void say(const std::string& what) const {
    const auto seconds = static_cast<double>(now_ns() - started_ns_) / 1e9;
    std::fprintf(stderr, "bench: %6.1f s  %s\n", seconds, what.c_str());
  }

 private:
  std::uint64_t started_ns_ = now_ns();
};

}  // namespace tlsmux::bench
