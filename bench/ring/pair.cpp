#include "bench/ring/pair.hpp"

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "bench/monotonic_clock.hpp"
#include "bench/process/cpu_time.hpp"
#include "bench/ring/ring_sides.hpp"
#include "shm/doorbell.hpp"
#include "shm/pause_processor.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::uint64_t kTripsBetweenClocks = 64;  // of the exchanges that take less than a microsecond

// What the two processes share.
class Pair {
 public:
  Pair() : to_peer_(::eventfd(0, EFD_CLOEXEC)), from_peer_(::eventfd(0, EFD_CLOEXEC)) {
    void* memory = ::mmap(nullptr, sizeof(RingMemory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || !to_peer_ || !from_peer_) {
      throw std::runtime_error(shm::last_error("making two ends of a ring").message);
    }
    memory_ = static_cast<RingMemory*>(memory);
  }
  ~Pair() { ::munmap(memory_, sizeof(RingMemory)); }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  [[nodiscard]] RingMemory& memory() const { return *memory_; }
  void wake_peer() const { ::eventfd_write(to_peer_.get(), 1); }
  void wake_client() const { ::eventfd_write(from_peer_.get(), 1); }
  void sleep_as_peer() const { await_ring(to_peer_); }
  void sleep_as_client() const { await_ring(from_peer_); }
  [[nodiscard]] bool is_over() const { return memory_->is_over.load(std::memory_order_relaxed) != 0; }
  void end() const {
    memory_->is_over.store(1, std::memory_order_relaxed);
    wake_peer();
  }

 private:
  static void await_ring(const shm::UniqueFd& bell) {
    std::uint64_t rings = 0;
    ::eventfd_read(bell.get(), &rings);
  }

  RingMemory* memory_ = nullptr;
  shm::UniqueFd to_peer_;
  shm::UniqueFd from_peer_;
};

// The peer of each exchange. Ends when the pair is over.

void answer_cache_line(const Pair& pair) {
  auto& memory = pair.memory();
  for (std::uint64_t seen = 0; !pair.is_over();) {
    const auto now = memory.ping.load(std::memory_order_acquire);
    if (now != seen) {
      memory.pong.store(now, std::memory_order_release);
      seen = now;
    } else {
      shm::pause_processor();
    }
  }
}

void answer_eventfd(const Pair& pair) {
  for (;;) {
    pair.sleep_as_peer();
    if (pair.is_over()) return;
    pair.wake_client();
  }
}

void answer_ring(const Pair& pair, bool sleeps) {
  RingEngine engine(pair.memory());
  auto& armed = pair.memory().shard.engine_armed;
  while (!pair.is_over()) {
    if (engine.has_request()) {
      if (engine.answer()) pair.wake_client();
    } else if (!sleeps) {
      shm::pause_processor();
    } else {
      shm::arm(armed);
      if (pair.memory().shard.ready.load(std::memory_order_relaxed) == 0) pair.sleep_as_peer();
      shm::disarm(armed);
    }
  }
}

void answer(Exchange exchange, const Pair& pair) {
  switch (exchange) {
    case Exchange::ring_awake: return answer_ring(pair, false);
    case Exchange::ring_asleep: return answer_ring(pair, true);
    case Exchange::cache_line: return answer_cache_line(pair);
    case Exchange::eventfd: return answer_eventfd(pair);
  }
}

// The asking side of each exchange: one round trip. False: the answer was wrong.
class Asker {
 public:
  Asker(Exchange exchange, const Pair& pair) : exchange_(exchange), pair_(pair), client_(pair.memory()) {}

  bool ask() {
    switch (exchange_) {
      case Exchange::ring_awake: return ask_ring(false);
      case Exchange::ring_asleep: return ask_ring(true);
      case Exchange::cache_line: return ask_cache_line();
      case Exchange::eventfd:
        pair_.wake_peer();
        pair_.sleep_as_client();
        return true;
    }
    return false;
  }

 private:
  bool ask_cache_line() {
    auto& memory = pair_.memory();
    memory.ping.store(++word_, std::memory_order_release);
    while (memory.pong.load(std::memory_order_acquire) != word_) shm::pause_processor();
    return true;
  }

  bool ask_ring(bool sleeps) {
    if (client_.submit()) pair_.wake_peer();
    auto& armed = pair_.memory().channel.client_armed;
    while (!client_.has_answer()) {
      if (!sleeps) {
        shm::pause_processor();
        continue;
      }
      shm::arm(armed);
      if (!client_.has_answer()) pair_.sleep_as_client();
      shm::disarm(armed);
    }
    return client_.take_answer();
  }

  Exchange exchange_;
  const Pair& pair_;
  RingClient client_;
  std::uint64_t word_ = 0;
};

// Both sides of every exchange have a processor of their own, where there are two; else whether the kernel puts them
// on the same one would decide.
class OwnProcessor {
 public:
  OwnProcessor() { ::sched_getaffinity(0, sizeof allowed_, &allowed_); }
  ~OwnProcessor() { ::sched_setaffinity(0, sizeof allowed_, &allowed_); }
  OwnProcessor(const OwnProcessor&) = delete;
  OwnProcessor& operator=(const OwnProcessor&) = delete;

  // This process runs on the `number`th that it may use.
  void take(int number) const {
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
      if (!CPU_ISSET(processor, &allowed_) || number-- > 0) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(processor, &one);
      ::sched_setaffinity(0, sizeof one, &one);
      return;
    }
  }

 private:
  cpu_set_t allowed_{};
};

bool takes_microseconds(Exchange exchange) {
  return exchange == Exchange::ring_asleep || exchange == Exchange::eventfd;
}

pid_t start_peer(Exchange exchange, const Pair& pair, const OwnProcessor& processor) {
  const pid_t parent = ::getpid();
  const pid_t peer = ::fork();
  if (peer < 0) throw std::runtime_error(shm::last_error("starting a peer").message);
  if (peer > 0) return peer;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  processor.take(1);
  if (::getppid() == parent) answer(exchange, pair);
  ::_exit(0);
}

std::uint64_t end_peer(pid_t peer, const Pair& pair) {
  pair.end();
  rusage usage{};
  while (::wait4(peer, nullptr, 0, &usage) < 0 && errno == EINTR) continue;
  const auto ns_of = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_usec) * 1000;
  };
  return ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
}

}  // namespace

ExchangeSlice exchange_for(Exchange exchange, std::uint64_t duration_ns) {
  const Pair pair;
  const OwnProcessor processor;
  const auto peer = start_peer(exchange, pair, processor);
  processor.take(0);
  Asker asker(exchange, pair);
  ExchangeSlice slice;
  const auto together = takes_microseconds(exchange) ? 1 : kTripsBetweenClocks;
  const auto cpu_before = cpu_ns(::getpid());
  const auto end_ns = now_ns() + duration_ns;
  for (auto before_ns = now_ns(); before_ns < end_ns;) {
    for (std::uint64_t i = 0; i < together; ++i) slice.errors += asker.ask() ? 0 : 1;
    const auto after_ns = now_ns();
    slice.round_trips_ns.push_back(static_cast<std::uint32_t>((after_ns - before_ns + together / 2) / together));
    slice.trips += together;
    before_ns = after_ns;
  }
  slice.cpu_ns = cpu_ns(::getpid()) - cpu_before + end_peer(peer, pair);
  return slice;
}

}  // namespace tlsmux::bench
