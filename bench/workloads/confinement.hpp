#pragma once

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

// The same engine with its confinement and without, side by side in what the other workloads ask of it.
void run_confinement(Context& context, Results& results);

}  // namespace tlsmux::bench
