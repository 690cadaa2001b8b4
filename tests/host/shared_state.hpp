#pragma once

#include <cstdint>

#include "tests/host/report.hpp"

namespace tlsmux::host {

// What all connections of the host share.
struct SharedState {
  Totals totals;
  bool signed_on = false;               // where one sign-on is enough for all connections
  std::uint32_t own_trace_numbers = 0;  // given out; no two connections ask with the same
};

}  // namespace tlsmux::host
