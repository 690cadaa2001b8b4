#pragma once

// An engine with a leak, to see whether the soak sees it: leaking.c says what it loses.

#include <cstdlib>

#include "tests/system/engine_process.hpp"

namespace tlsmux::soak {

inline test::EngineLaunch launch_leaking() {
  return {.prepare = [] { return ::setenv("LD_PRELOAD", TLSMUX_LEAKING, 1) == 0; }};
}

}  // namespace tlsmux::soak
