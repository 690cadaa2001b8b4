#pragma once

#include <cstdint>

namespace tlsmux::demo {

struct Options {
  std::uint32_t messages = 10'000;  // of each authorizer
  double seconds = 30;              // over which they are spread
};

}  // namespace tlsmux::demo
