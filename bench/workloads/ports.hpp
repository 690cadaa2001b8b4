#pragma once

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

// Workloads `ports` and `ports_udp`: from an unbound socket to one that is bound to a port of its own, where all of a
// thousand are taken but one. `ports_claim`: a claim of a port on lease alone. Left out, with a remark, where this process
// cannot have a network namespace of its own.
void run_ports(Context& context, Results& results);

}  // namespace tlsmux::bench
