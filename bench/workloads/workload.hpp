#pragma once

#include <string>
#include <vector>

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

struct Workload {
  std::string name;
  std::string text;  // what it is, for people
  void (*run)(Context& context, Results& results);
};

// In the order in which they are run and shown.
const std::vector<Workload>& workloads();

}  // namespace tlsmux::bench
