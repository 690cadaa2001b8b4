#pragma once

// The pidfd calls, which C libraries before glibc 2.36 do not have and whose header in 2.36 C++ cannot use.

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "shm/unique_fd.hpp"

namespace tlsmux::shm {

// Readable once the process is dead. Empty, with errno set, if there is no such process.
inline UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

inline bool send_signal(int pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
}

}  // namespace tlsmux::shm
