#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/process/host_process.hpp"
#include "bench/progress.hpp"
#include "bench/report/results.hpp"
#include "bench/systems/system.hpp"

namespace tlsmux::bench {

// How much is measured.
struct Effort {
  std::uint32_t repeats = 15;
  std::uint32_t slice_ms = 1000;
  std::uint32_t fresh_processes = 20;    // of each system in each repeat
  std::uint32_t wrapper_processes = 60;  // of each way in each repeat
  std::uint32_t crowd_clients = 1000;
  std::uint32_t crowd_direct_clients = 1000;
  std::vector<std::uint32_t> farm_sizes = {1, 2, 4, 8, 16, 64};  // beside 32
};

// What every workload needs.
struct Context {
  const Ground& ground;
  HostProcess& host;
  const Effort& effort;
  Progress& progress;
  std::vector<std::string> systems;    // that were asked for and are there
  std::uint64_t program_dirty_kb = 0;  // of a program that talks to nobody
};

// Says that something went wrong, now and in the report.
inline void report_failure(const Context& context, Results& results, const std::string& what) {
  context.progress.say("ERROR: " + what);
  results.remarks.push_back(what);
  results.has_failures = true;
}

}  // namespace tlsmux::bench
