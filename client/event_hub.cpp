#include "client/event_hub.hpp"

#include <sys/epoll.h>

#include <algorithm>

namespace tlsmux::client {

namespace {

epoll_event event_for(EventSource source, Trigger trigger) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (trigger == Trigger::edge) event.events |= EPOLLET;
  event.data.u32 = static_cast<std::uint32_t>(source);
  return event;
}

}  // namespace

std::expected<void, shm::SystemError> watch(int epoll, int descriptor, EventSource source, Trigger trigger) {
  auto event = event_for(source, trigger);
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0) return {};
  return std::unexpected(shm::last_error("watching a descriptor"));
}

void set_trigger(int epoll, int descriptor, EventSource source, Trigger trigger) {
  auto event = event_for(source, trigger);
  ::epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event);
}

void unwatch(int epoll, int descriptor) { ::epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nullptr); }

std::expected<void, shm::SystemError> EventHub::join(int epoll) {
  epolls_.push_back(epoll);
  for (const int descriptor : descriptors_) {
    if (auto watched = watch(epoll, descriptor, EventSource::client); !watched) {
      leave(epoll);
      return watched;
    }
  }
  return {};
}

void EventHub::leave(int epoll) {
  for (const int descriptor : descriptors_) unwatch(epoll, descriptor);
  std::erase(epolls_, epoll);
}

std::expected<void, shm::SystemError> EventHub::add(int descriptor) {
  descriptors_.push_back(descriptor);
  for (const int epoll : epolls_) {
    if (auto watched = watch(epoll, descriptor, EventSource::client); !watched) {
      remove(descriptor);
      return watched;
    }
  }
  return {};
}

void EventHub::remove(int descriptor) {
  for (const int epoll : epolls_) unwatch(epoll, descriptor);
  std::erase(descriptors_, descriptor);
}

}  // namespace tlsmux::client
