#include "tests/demo/interrupt.hpp"

#include <poll.h>

#include <sys/signalfd.h>

#include <csignal>

namespace tlsmux::demo {
namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kInterval{3};

}  // namespace

Interrupt::Interrupt() {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&wanted, signal);
  ::sigprocmask(SIG_BLOCK, &wanted, nullptr);
  static_cast<void>(::signal(SIGPIPE, SIG_IGN));
  signals_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) throw std::runtime_error("no signalfd");
}

void Interrupt::pause(std::chrono::milliseconds duration) const {
  pollfd signals{.fd = signals_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&signals, 1, static_cast<int>(duration.count())) > 0) throw Interrupted();
}

void Interrupt::wait_until(const std::function<bool()>& condition, const std::string& what) const {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) throw std::runtime_error(what);
    pause(kInterval);
  }
}

}  // namespace tlsmux::demo
