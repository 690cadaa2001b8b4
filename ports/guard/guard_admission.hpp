#pragma once

// The map of admitted processes. A process is known by its pid and its start, so that a pid that is used again is a
// stranger's.

#include <sys/types.h>

#include <cstdint>
#include <expected>

#include "shm/system/system_error.hpp"

namespace tlsmux::ports {

// ESRCH: the process is gone. E2BIG: there is no room.
std::expected<void, shm::SystemError> admit_process(int admitted_map, std::uint64_t service_id, pid_t pid);

// If processes that had this pid before are still in the map, it is they who go.
void dismiss_process(int admitted_map, std::uint64_t service_id, pid_t pid);

void dismiss_all_processes(int admitted_map);

// Takes out those that have ended.
void forget_ended_processes(int admitted_map);

}  // namespace tlsmux::ports
