#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/workloads/contender.hpp"

namespace tlsmux::bench {

// Clients that stay connected and ask all the time.
struct SteadyPlan {
  std::string workload;
  Task task;  // but for the times
  std::vector<Entrant> entrants;
  bool measures_idleness = false;
  std::uint32_t repeats = 0;  // 0: as many as the effort says
};

// Starts all entrants, then gives each a slice in turn, forwards and backwards. What does not start or fails is left out, with a
// remark.
void run_steady(Context& context, const SteadyPlan& plan, Results& results);

}  // namespace tlsmux::bench
