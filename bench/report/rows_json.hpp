#pragma once

#include <string>

#include "bench/report/results.hpp"

namespace tlsmux::bench {

// A list of rows, one for each system in each workload: the medians over its slices. bench/README.md has the keys.
std::string rows_json(const Results& results);

// Every slice and distribution, for whoever wants to reckon otherwise.
std::string slices_json(const Results& results);

}  // namespace tlsmux::bench
