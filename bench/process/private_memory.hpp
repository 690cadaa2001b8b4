#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace tlsmux::bench {

// Memory that a process has written and shares with nobody (Private_Dirty of smaps_rollup), in KiB; 0 when it is gone.
std::uint64_t private_dirty_kb(pid_t pid);
std::uint64_t private_dirty_kb(const std::vector<pid_t>& pids);

}  // namespace tlsmux::bench
