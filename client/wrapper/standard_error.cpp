#include "client/wrapper/standard_error.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <string>

namespace tlsmux::wrapper {
namespace {

// That of a service's manager is a socket too, but a local one.
bool is_connection(int descriptor) {
  int family = 0;
  socklen_t length = sizeof family;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family != AF_UNIX;
}

bool is_pending(int signal) {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && ::sigismember(&pending, signal) == 1;
}

// A SIGPIPE of our own never reaches the program; one that was pending before stays so.
void write_quietly(int descriptor, const std::string& text) {
  sigset_t pipe;
  sigset_t before;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  const bool was_pending = is_pending(SIGPIPE);
  if (::pthread_sigmask(SIG_BLOCK, &pipe, &before) != 0) return;
  const bool is_broken = ::write(descriptor, text.data(), text.size()) < 0 && errno == EPIPE;
  const timespec now{};
  if (is_broken && !was_pending) static_cast<void>(::sigtimedwait(&pipe, nullptr, &now));
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

void say_line(std::string_view words) {
  const int error = errno;
  if (!is_connection(STDERR_FILENO)) {
    write_quietly(STDERR_FILENO, "libtlsmux_ssl: " + std::string(words) + "\n");
  }
  errno = error;
}

}  // namespace tlsmux::wrapper
