#include "client/timer.hpp"

#include <sys/timerfd.h>

#include <algorithm>

#include "client/attached_channel.hpp"

namespace tlsmux::client {

std::expected<shm::UniqueFd, shm::SystemError> make_timer() {
  shm::UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return std::unexpected(shm::last_error("making a timer"));
  return timer;
}

void set_timer(int timer, std::int64_t when_ns) {
  itimerspec setting{};
  if (when_ns != kNever) {
    const auto when = std::max<std::int64_t>(when_ns, 1);  // all zero would stop it
    setting.it_value = {.tv_sec = when / 1'000'000'000, .tv_nsec = when % 1'000'000'000};
  }
  // It fails only for what is no timer.
  static_cast<void>(::timerfd_settime(timer, TFD_TIMER_ABSTIME, &setting, nullptr));
}

}  // namespace tlsmux::client
