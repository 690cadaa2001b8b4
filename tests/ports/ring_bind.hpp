#pragma once

#include <sys/socket.h>

namespace tlsmux::test {

// A bind by io_uring's IORING_OP_BIND: the errno, or 0. -1: this kernel has no io_uring, or one without binds.
int bind_by_ring(int socket, const sockaddr& address, socklen_t size);

}  // namespace tlsmux::test
