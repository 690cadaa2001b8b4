#pragma once

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

// One unmodified program, with TLS connections of its own and on the engine's sessions. Four workloads: `wrapper` and
// `wrapper_process` are new processes for one exchange each, from connect to the answer and from start to end; `wrapper_warm` and
// `wrapper_bulk` one process that stays.
void run_wrapper(Context& context, Results& results);

}  // namespace tlsmux::bench
