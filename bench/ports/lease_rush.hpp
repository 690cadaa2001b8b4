#pragma once

// Processes that claim ports on lease, all at the same time.

#include <cstdint>
#include <vector>

#include "bench/ports/port_lab.hpp"

namespace tlsmux::bench {

// For so long: what each claim took, in ns, less what reading the clock takes. Some of the claims also ask for new leases;
// nobody waits for these within the time. Throws std::runtime_error.
std::vector<std::uint32_t> claim_for(const PortLab& lab, std::uint32_t processes, std::uint64_t duration_ns);

}  // namespace tlsmux::bench
