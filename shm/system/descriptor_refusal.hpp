#pragma once

// A UNIX socket that takes no descriptors (SCM_RIGHTS). Whoever receives one, wanted or not, also closes it, and the last close can
// last as long as the sender likes: of a TCP socket that lingers, or of a file of the sender's own file system.

#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83  // Linux 6.16
#endif

namespace tlsmux::shm {

// Senders get EPERM. Of a listener it holds for what is accepted from it, too. False: the kernel is older.
inline bool refuse_descriptors(int socket) {
  const int off = 0;
  return ::setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off) == 0;
}

// Whether it does so already.
inline bool refuses_descriptors(int socket) {
  int is_on = 1;
  socklen_t size = sizeof is_on;
  return ::getsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &is_on, &size) == 0 && is_on == 0;
}

}  // namespace tlsmux::shm
