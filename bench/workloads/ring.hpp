#pragma once

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

void run_ring(Context& context, Results& results);

}  // namespace tlsmux::bench
