#pragma once

// What becomes of a program's socket calls. Keeps errno, throws nothing, prints nothing unless TLSMUX_PORTS_VERBOSE=1 asks
// for a line on standard error where something goes past the group or is refused by it.

#include <sys/socket.h>

#include <optional>

#include "ports/protocol.hpp"

namespace tlsmux::preload {

// Finds the next calls, and watches for forks. Once, before the program begins.
void prepare();

// Nothing: the kernel is to decide, as if this library were not there. Else the call is done: 0, or its errno.
std::optional<int> bind_in_group(int socket, const sockaddr* address, socklen_t length);
// The socket is about to listen: if it is a TCP socket that is not bound, it gets a port.
std::optional<int> bind_before_listen(int socket);
// The socket is about to connect to this address: if it is a TCP socket that is not bound, and TLSMUX_SOURCE_PORTS=1, it
// gets a source port, if one can be had.
void bind_before_connect(int socket, const sockaddr* address, socklen_t length);

// The following may be called in signal handlers and between vfork and exec.

// `to` has become a copy of `from`.
void copied(int from, int to);

// Around what ends a descriptor, a close() or its replacement by dup2(): the port is given back when it is done.
class Ending {
 public:
  explicit Ending(int descriptor);
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending();

  // It has not ended after all.
  void undo();

 private:
  int descriptor_;
  std::optional<ports::Port> port_;
};

}  // namespace tlsmux::preload
