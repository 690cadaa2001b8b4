#include "tests/simulation/context.hpp"

#include <cinttypes>
#include <cstdio>

namespace tlsmux::simulation {

void Context::print_trace(const std::string& line) const {
  std::printf("%10" PRIu64 " us  %s\n", now_ns / 1000, line.c_str());
}

}  // namespace tlsmux::simulation
