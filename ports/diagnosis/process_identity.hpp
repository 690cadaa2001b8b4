#pragma once

// Who a process is, by the kernel's word: for members that are not asked but looked at.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

struct ProcessIdentity {
  uid_t uid = 0;            // real
  std::vector<gid_t> gids;  // the real one, then the supplementary ones
  shm::UniqueFd pidfd;      // readable when it is dead
};

// By /proc/PID/status, of a process that was alive before and after it was read. ESRCH: there is none.
std::expected<ProcessIdentity, shm::SystemError> identify_process(pid_t pid);

}  // namespace tlsmux::ports
