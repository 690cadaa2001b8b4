#include "client/readable.hpp"

#include <poll.h>
#include <sched.h>

#include "client/monotonic_clock.hpp"

namespace tlsmux::client {

bool is_readable(int descriptor) {
  pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, 0) > 0;
}

bool look_until_readable(int descriptor, std::int64_t until_ns) {
  while (now_ns() < until_ns) {
    if (is_readable(descriptor)) return true;
    ::sched_yield();  // the engine may be waiting for this very processor
  }
  return false;
}

}  // namespace tlsmux::client
