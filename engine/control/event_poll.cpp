#include "engine/control/event_poll.hpp"

#include <array>

#include "shm/assert.hpp"

namespace tlsmux::engine::control {
namespace {

constexpr int kEventsMax = 64;
constexpr unsigned kSourceShift = 56;

epoll_event make_event(EventLabel label, std::uint32_t events) {
  TMX_ASSERT(label.id >> kSourceShift == 0);
  epoll_event event{};
  event.events = events;
  event.data.u64 = std::uint64_t(label.source) << kSourceShift | label.id;
  return event;
}

}  // namespace

std::expected<EventPoll, shm::SystemError> EventPoll::create() {
  EventPoll poll;
  poll.fd_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll.fd_) return std::unexpected(shm::last_error("making an epoll instance"));
  return poll;
}

std::expected<void, shm::SystemError> EventPoll::add(int fd, EventLabel label, std::uint32_t events) {
  auto wanted = make_event(label, events);
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &wanted) != 0) {
    return std::unexpected(shm::last_error("watching a descriptor"));
  }
  return {};
}

void EventPoll::change(int fd, EventLabel label, std::uint32_t events) {
  auto wanted = make_event(label, events);
  ::epoll_ctl(fd_.get(), EPOLL_CTL_MOD, fd, &wanted);
}

void EventPoll::remove(int fd) { ::epoll_ctl(fd_.get(), EPOLL_CTL_DEL, fd, nullptr); }

std::span<const EventLabel> EventPoll::wait(int timeout_ms) {
  std::array<epoll_event, kEventsMax> events;
  const int count = ::epoll_wait(fd_.get(), events.data(), kEventsMax, timeout_ms);
  ready_.clear();
  for (int i = 0; i < count; ++i) {
    const auto label = events[static_cast<std::size_t>(i)].data.u64;
    ready_.push_back(
        {.source = static_cast<Source>(label >> kSourceShift), .id = label & ((std::uint64_t{1} << kSourceShift) - 1)});
  }
  return ready_;
}

}  // namespace tlsmux::engine::control
