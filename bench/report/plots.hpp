#pragma once

#include <string>

#include "bench/report/results.hpp"

namespace tlsmux::bench {

// Writes what gnuplot needs into `folder`, which exists: `latency.dat` (warm), `farms.dat`, and `plots.gp`, which makes
// latency.svg, rate.svg and cost.svg of them when it is run there. Leaves out what was not measured.
void write_plots(const Results& results, const std::string& folder);

}  // namespace tlsmux::bench
