#pragma once

#include "bench/workloads/context.hpp"

namespace tlsmux::bench {

// Sealing and opening alone. A workload of its own for each operation, size and batch, such as record_seal_300x4: four
// slots of 300 bytes in one record. Times are of one operation.
void run_record(Context& context, Results& results);

}  // namespace tlsmux::bench
