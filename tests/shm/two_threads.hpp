#pragma once

// Two threads that race on purpose.

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <functional>

#include "shm/pause_processor.hpp"

namespace tlsmux::test {

// Processors that this process may use.
int usable_cpus();

// Lets two threads start each round together, within the time that a cache line takes to pass between them. Numbers of
// rounds start at 1 and only grow. Gives the processor away when the other is long in coming.
class StartLine {
 public:
  // `side` is 0 or 1. What one thread did before is visible to the other afterwards.
  void meet(int side, std::uint64_t round) {
    at_[side].round.store(round, std::memory_order_release);
    for (int spins = 0; at_[1 - side].round.load(std::memory_order_acquire) < round; ++spins) {
      spins < 2000 ? shm::pause_processor() : static_cast<void>(::sched_yield());
    }
  }

 private:
  struct alignas(128) Place {
    std::atomic<std::uint64_t> round{0};
  };
  Place at_[2];
};

// Runs both to their end, pinned to two processors where there are two.
void run_two_threads(const std::function<void()>& first, const std::function<void()>& second);

// A delay of random length that differs from round to round, so that each order of two steps comes up.
class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed | 1) {}

  std::uint64_t next() {  // xorshift64 (G. Marsaglia, 2003)
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

  void wait() { delay(next() % 32); }

  // Some nanoseconds for each step.
  static void delay(std::uint64_t steps) {
    for (; steps > 0; --steps) std::atomic_signal_fence(std::memory_order_seq_cst);
  }

 private:
  std::uint64_t state_;
};

}  // namespace tlsmux::test
