#include "client/channel_waiter.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

#include "client/attached_channel.hpp"
#include "client/no_cancellation.hpp"
#include "client/timer.hpp"

namespace tlsmux::client {
namespace {

void take(int eventfd) {
  const NoCancellation whole;
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(eventfd, &count, sizeof count);
}

}  // namespace

std::expected<ChannelWaiter, shm::SystemError> ChannelWaiter::create() {
  ChannelWaiter waiter;
  waiter.epoll_ = shm::UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!waiter.epoll_) return std::unexpected(shm::last_error("making an epoll instance"));
  waiter.nudge_ = shm::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!waiter.nudge_) return std::unexpected(shm::last_error("making an eventfd"));
  waiter.timer_set_ns_ = kNever;
  if (auto watched = watch(waiter.epoll(), waiter.nudge_.get(), EventSource::nudge); !watched) {
    return std::unexpected(watched.error());
  }
  return waiter;
}

std::expected<void, shm::SystemError> ChannelWaiter::set_wake(int wake) {
  clear_wake();
  const auto trigger = is_exposed() ? Trigger::level : Trigger::edge;
  if (auto watched = watch(epoll(), wake, EventSource::wake, trigger); !watched) return watched;
  wake_ = wake;
  return {};
}

void ChannelWaiter::clear_wake() {
  if (wake_ >= 0) unwatch(epoll(), wake_);
  wake_ = -1;
}

bool ChannelWaiter::wait(int timeout_ms) {
  const NoCancellation whole;
  std::array<epoll_event, 8> events;
  const int count = ::epoll_wait(epoll(), events.data(), static_cast<int>(events.size()), timeout_ms);
  bool client = false;
  for (int i = 0; i < count; ++i) {
    switch (static_cast<EventSource>(events[static_cast<std::size_t>(i)].data.u32)) {
      case EventSource::wake:
        if (is_exposed()) take_wake();
        break;
      case EventSource::nudge: take(nudge_.get()); break;
      case EventSource::timer: break;  // set anew by be_ready_at
      case EventSource::client: client = true; break;
    }
  }
  return client;
}

void ChannelWaiter::nudge() {
  const NoCancellation whole;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(nudge_.get(), &one, sizeof one);
}

void ChannelWaiter::take_wake() {
  if (wake_ >= 0) take(wake_);
}

std::expected<void, shm::SystemError> ChannelWaiter::expose() {
  auto timer = make_timer();
  if (!timer) return std::unexpected(timer.error());
  if (auto watched = watch(epoll(), timer->get(), EventSource::timer); !watched) return watched;
  timer_ = std::move(*timer);
  // An application may look at the descriptor long after the event.
  if (wake_ >= 0) set_trigger(epoll(), wake_, EventSource::wake, Trigger::level);
  return {};
}

void ChannelWaiter::be_ready_at(std::int64_t when_ns, std::int64_t now) {
  if (timer_set_ns_ <= when_ns && timer_set_ns_ > now) return;
  if (timer_set_ns_ == kNever && when_ns == kNever) return;
  set_timer(timer_.get(), when_ns);
  timer_set_ns_ = when_ns;
}

void ChannelWaiter::be_ready_by(std::int64_t when_ns) {
  if (when_ns >= timer_set_ns_) return;
  set_timer(timer_.get(), when_ns);
  timer_set_ns_ = when_ns;
}

}  // namespace tlsmux::client
