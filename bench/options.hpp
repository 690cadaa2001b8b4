#pragma once

#include <string>
#include <vector>

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

struct Options {
  std::string output_folder = "build/bench";
  std::string certificates;                 // a folder of scripts/make-certificates
  std::vector<std::string> workload_names;  // empty: all
  std::vector<std::string> system_names;    // empty: all
  std::string other_folder;                 // of another build's programs; empty: none
  unsigned host_threads = 0;                // 0: half of the processors, one at least
  Effort effort;
};

}  // namespace tlsmux::bench
