#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace tlsmux::bench {

// Processor time of a process so far, all its threads, dead ones included; 0 when it is gone. Exact to the nanosecond
// as far as the kernel's scheduler is.
std::uint64_t cpu_ns(pid_t pid);
std::uint64_t cpu_ns(const std::vector<pid_t>& pids);

// The process and all that descends from it.
std::vector<pid_t> process_tree(pid_t root);

}  // namespace tlsmux::bench
