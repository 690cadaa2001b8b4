#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/process/farm.hpp"
#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

// One system in one workload.
struct Entrant {
  std::string kind;   // of the system
  std::string label;  // what it is called in the results
  Demand demand;
  std::uint32_t active = 1;  // clients that work; the others sleep
};

// An entrant with its clients, from start to end. Failures throw std::runtime_error.
class Contender {
 public:
  // Starts all of it, and takes its memory. `task` is what one slice will be, but for the times.
  Contender(Context& context, const std::string& workload, Entrant entrant, const Task& task);

  // A slice of time. After one with errors it takes part in no more.
  void run_slice();
  // While all clients sleep, for so long.
  void measure_idleness(std::uint32_t milliseconds);
  // All that was measured.
  [[nodiscard]] Series series();

 private:
  Context& context_;
  Entrant entrant_;
  Task task_;
  std::unique_ptr<System> system_;
  Farm farm_;
  Series series_;
  std::vector<std::uint32_t> latencies_ns_;
};

// For `series.distribution`. Sorts them.
std::vector<Quantile> quantiles_of(std::vector<std::uint32_t>& latencies_ns);

// The three percentiles. Sorts them.
void set_percentiles(Figures& figures, std::vector<std::uint32_t>& latencies_ns);

}  // namespace tlsmux::bench
