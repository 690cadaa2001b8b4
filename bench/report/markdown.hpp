#pragma once

#include <string>

#include "bench/report/conditions.hpp"
#include "bench/report/results.hpp"

namespace tlsmux::bench {

// For people: a table of all rows, and one of what is to be reached.
std::string markdown(const Results& results, const Conditions& conditions);

}  // namespace tlsmux::bench
