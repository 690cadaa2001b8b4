// libtlsmux_ports.so, for LD_PRELOAD: the calls of the C library that it stands in front of. See group_sockets.hpp.

#include <cerrno>
#include <cstdarg>

#include "client/preload/group_sockets.hpp"
#include "client/preload/next_call.hpp"

using namespace tlsmux::preload;

namespace {

[[gnu::constructor]] void on_load() { prepare(); }

int result_of(int error) {
  if (error == 0) return 0;
  errno = error;
  return -1;
}

int track_copy(int from, int to) {
  if (to >= 0) copied(from, to);
  return to;
}

// An argument of any type is passed on in the same place.
int control(NextCall<int (*)(int, int, void*)>& next_fcntl, int descriptor, int command, void* argument) {
  const int result = next_fcntl(descriptor, command, argument);
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? track_copy(descriptor, result) : result;
}

}  // namespace

#define TLSMUX_INTERPOSED extern "C" __attribute__((visibility("default")))

TLSMUX_INTERPOSED int bind(int socket, const sockaddr* address, socklen_t length) noexcept {
  const auto done = bind_in_group(socket, address, length);
  return done ? result_of(*done) : next.bind(socket, address, length);
}

TLSMUX_INTERPOSED int listen(int socket, int backlog) noexcept {
  const auto failed = bind_before_listen(socket);
  return failed ? result_of(*failed) : next.listen(socket, backlog);
}

TLSMUX_INTERPOSED int connect(int socket, const sockaddr* address, socklen_t length) {
  bind_before_connect(socket, address, length);
  return next.connect(socket, address, length);
}

TLSMUX_INTERPOSED int close(int descriptor) {
  const Ending ending(descriptor);
  return next.close(descriptor);
}

TLSMUX_INTERPOSED int dup(int descriptor) noexcept { return track_copy(descriptor, next.dup(descriptor)); }

TLSMUX_INTERPOSED int dup2(int from, int to) noexcept {
  if (from == to) return next.dup2(from, to);
  Ending ending(to);
  const int result = track_copy(from, next.dup2(from, to));
  if (result < 0) ending.undo();
  return result;
}

TLSMUX_INTERPOSED int dup3(int from, int to, int flags) noexcept {
  if (from == to) return next.dup3(from, to, flags);
  Ending ending(to);
  const int result = track_copy(from, next.dup3(from, to, flags));
  if (result < 0) ending.undo();
  return result;
}

TLSMUX_INTERPOSED int fcntl(int descriptor, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return control(next.fcntl, descriptor, command, argument);
}

TLSMUX_INTERPOSED int fcntl64(int descriptor, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return control(next.fcntl64, descriptor, command, argument);
}
