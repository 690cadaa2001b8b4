#include "bench/host/worker.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "bench/monotonic_clock.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::uint64_t kBellNumber = 0;  // sessions count from 1

void control(int epoll, int operation, int descriptor, std::uint64_t number, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = number;
  if (::epoll_ctl(epoll, operation, descriptor, &event) != 0) {
    throw std::runtime_error(shm::last_error("watching a socket").message);
  }
}

}  // namespace

HostWorker::HostWorker(SSL_CTX* context, HostTally& tally)
    : context_(context),
      tally_(tally),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  control(epoll_.get(), EPOLL_CTL_ADD, bell_.get(), kBellNumber, EPOLLIN);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

HostWorker::~HostWorker() {
  thread_.request_stop();
  ring();
}

void HostWorker::ring() const { ::eventfd_write(bell_.get(), 1); }

void HostWorker::adopt(shm::UniqueFd socket) {
  {
    const std::lock_guard lock(mutex_);
    adopted_.push_back(std::move(socket));
  }
  ring();
}

void HostWorker::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    wait_and_read();
    put_due();
    send_touched();
  }
}

void HostWorker::wait_and_read() {
  timespec wait{};
  if (!delayed_.empty()) {
    const auto due_ns = delayed_.top().due_ns;
    const auto now = now_ns();
    const auto wait_ns = due_ns > now ? due_ns - now : 0;
    wait = {.tv_sec = static_cast<time_t>(wait_ns / 1'000'000'000),
            .tv_nsec = static_cast<long>(wait_ns % 1'000'000'000)};
  }
  std::array<epoll_event, 256> events;
  const int ready = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   delayed_.empty() ? nullptr : &wait, nullptr);
  now_ns_ = now_ns();
  for (int i = 0; i < ready; ++i) {
    const auto number = events[static_cast<std::size_t>(i)].data.u64;
    if (number == kBellNumber) {
      take_adopted();
    } else if (const auto found = sessions_.find(number); found != sessions_.end()) {
      read(number, found->second);
    }
  }
}

void HostWorker::take_adopted() {
  std::uint64_t rings = 0;
  ::eventfd_read(bell_.get(), &rings);
  const std::lock_guard lock(mutex_);
  for (auto& socket : std::exchange(adopted_, {})) {
    const auto number = next_number_++;
    control(epoll_.get(), EPOLL_CTL_ADD, socket.get(), number, EPOLLIN);
    sessions_[number].session = std::make_unique<HostSession>(std::move(socket), context_, tally_);
  }
}

void HostWorker::read(std::uint64_t number, Served& served) {
  touch(number, served);
  served.session->receive([&](std::uint32_t delay_us, std::span<const std::byte> frame) {
    if (delay_us == 0) {
      served.session->put(frame);
    } else {
      delayed_.push({now_ns_ + std::uint64_t{delay_us} * 1000, number, {frame.begin(), frame.end()}});
    }
  });
}

void HostWorker::put_due() {
  while (!delayed_.empty() && delayed_.top().due_ns <= now_ns_) {
    const auto& due = delayed_.top();
    if (const auto found = sessions_.find(due.session); found != sessions_.end()) {
      found->second.session->put(due.frame);
      touch(due.session, found->second);
    }
    delayed_.pop();
  }
}

void HostWorker::touch(std::uint64_t number, Served& served) {
  if (!std::exchange(served.is_touched, true)) touched_.push_back(number);
}

void HostWorker::send_touched() {
  for (const auto number : std::exchange(touched_, {})) {
    const auto found = sessions_.find(number);
    auto& served = found->second;
    served.is_touched = false;
    served.session->send();
    if (served.session->is_over()) {
      sessions_.erase(found);
    } else {
      watch_for_room(number, served);
    }
  }
}

void HostWorker::watch_for_room(std::uint64_t number, Served& served) {
  const bool waits = served.session->waits_to_write();
  if (waits == std::exchange(served.watches_for_room, waits)) return;
  control(epoll_.get(), EPOLL_CTL_MOD, served.session->socket(), number,
          waits ? std::uint32_t{EPOLLIN} | std::uint32_t{EPOLLOUT} : std::uint32_t{EPOLLIN});
}

}  // namespace tlsmux::bench
