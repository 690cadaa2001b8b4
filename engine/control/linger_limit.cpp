#include "engine/control/linger_limit.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace tlsmux::engine::control {

LingerLimit::LingerLimit(bool is_needed) {
  if (!is_needed) return;
  struct sigaction action{};
  action.sa_handler = [](int) {};  // what is ignored interrupts nothing
  action.sa_flags = SA_RESTART;
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGALRM;
  event.sigev_notify_thread_id = ::gettid();
  has_timer_ = ::sigaction(SIGALRM, &action, nullptr) == 0 && ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr) == 0 &&
               ::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  if (!has_timer_) error_ = errno;
}

LingerLimit::~LingerLimit() {
  if (has_timer_) ::timer_delete(timer_);
}

void LingerLimit::report_lack(Log& log) const {
  if (!is_missing()) return;
  log.warning(
      "linger_limit_missing",
      {{"error", std::strerror(error_)},
       {"means", "who sends a socket that lingers can keep this process waiting for as long as it likes"},
       {"needs",
        "a higher limit of pending signals: LimitSIGPENDING= of the systemd unit, or ulimit -i; or Linux 6.16"}});
}

// Again and again: the first may come just before the call.
void LingerLimit::begin() const {
  constexpr timespec kTime{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(kPeriod).count()};
  constexpr itimerspec kTimes{.it_interval = kTime, .it_value = kTime};
  if (has_timer_) ::timer_settime(timer_, 0, &kTimes, nullptr);
}

void LingerLimit::end() const {
  constexpr itimerspec kNever{};
  if (has_timer_) ::timer_settime(timer_, 0, &kNever, nullptr);
}

}  // namespace tlsmux::engine::control
