#pragma once

// flock(2) knows no deadline, and who has such a lock may be stopped or hang.

#include <poll.h>
#include <sys/file.h>

#include <cerrno>

namespace tlsmux::ports {

// Many times what those need who change a reservation or a guard.
inline constexpr int kLockPatienceMs = 3'000;

// Locks the open file for its holder alone. An errno, or 0; EWOULDBLOCK: another holder has had it for kLockPatienceMs.
inline int lock_patiently(int file) {
  constexpr int kPauseMs = 10;
  for (int waited_ms = 0; ::flock(file, LOCK_EX | LOCK_NB) != 0; waited_ms += kPauseMs) {
    if (errno != EWOULDBLOCK && errno != EINTR) return errno;
    if (waited_ms >= kLockPatienceMs) return EWOULDBLOCK;
    ::poll(nullptr, 0, kPauseMs);
  }
  return 0;
}

}  // namespace tlsmux::ports
