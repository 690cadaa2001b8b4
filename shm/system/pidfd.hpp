#pragma once

// The pidfd calls, which C libraries before glibc 2.36 do not have and whose header in 2.36 C++ cannot use.

#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdint>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::shm {

// Readable once the process is dead. Empty, with errno set, if there is no such process.
inline UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

inline bool send_signal(int pidfd, int signal) {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0;
}

inline bool is_dead(int pidfd) {
  pollfd wanted{.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, 0) != 0;
}

// Tells the process from every other one since the machine was started. 0: this kernel has no such number (before Linux
// 6.9, where all pidfds have the same).
inline std::uint64_t pidfd_inode(int pidfd) {
  constexpr long kPidfsMagic = 0x50494446;  // PID_FS_MAGIC
  struct statfs system{};
  struct stat status{};
  if (::fstatfs(pidfd, &system) != 0 || system.f_type != kPidfsMagic) return 0;
  return ::fstat(pidfd, &status) == 0 ? status.st_ino : 0;
}

}  // namespace tlsmux::shm
