#pragma once

#include <string>

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

// A new process for each request. Latencies are from the process's first call to the answer; the rate and the
// processor time are of whole processes, one after the other.
void run_fresh(Context& context, const std::string& workload, bool resumption, Results& results);

}  // namespace tlsmux::bench
