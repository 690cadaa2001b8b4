#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "shm/system/unique_fd.hpp"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // Linux 5.14
#endif

namespace tlsmux::ports {

// Of the calling thread's network namespace: no other has it until the machine is started anew, while its inode's number
// may be another's later. 0, with errno: the kernel does not tell.
inline std::uint64_t network_cookie() {
  const shm::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t bytes = sizeof cookie;
  if (!socket || ::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &bytes) != 0) return 0;
  return cookie;
}

}  // namespace tlsmux::ports
