// The wake rule of doorbell.hpp under the tightest race there is: in each round one thread publishes while the other
// arms and looks again, both from the same start line, in turns in both directions. A wake is lost when the publisher
// is through without having rung, the entry is there, and the sleeper sleeps.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>

#include "shm/doorbell.hpp"
#include "shm/ring.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/shm/two_threads.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

constexpr std::uint64_t kRounds = 2'000'000;
constexpr std::uint64_t kLostEnough = 100;      // losses after which there is nothing more to learn
constexpr std::uint64_t kSleepEvery = 64;       // rounds from one that sleeps in the kernel to the next
constexpr int kSleepMs = 10;                    // then the sleeper looks for proof that its wake is lost
constexpr std::uint64_t kPublisherDelay = 200;  // steps; the sleeper finds out for itself how long it must wait
constexpr std::uint64_t kSleeperDelayMax = 4000;

// One direction: ring, armed flag and bell as between an engine and a client.
struct Direction {
  RingIndexes indexes{};
  std::array<CompletionDescriptor, 4> entries{};
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> armed{0};
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> finished{0};  // the last round that the publisher is through with
  UniqueFd bell{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  RingProducer<CompletionDescriptor> producer{&indexes, entries};
  RingConsumer<CompletionDescriptor> consumer{&indexes, entries};
  std::uint64_t sleeper_delay = kPublisherDelay;  // the sleeper's own
};

struct Tally {
  std::atomic<std::uint64_t> lost{0};
  std::atomic<std::uint64_t> slept{0};  // rounds in which the sleeper found nothing after arming
  std::atomic<std::uint64_t> wrong{0};  // entries that are not the round's
};

void publish(Direction& direction, std::uint64_t round) {
  direction.producer.publish();
  if (must_ring(direction.armed)) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(direction.bell.get(), &one, sizeof one);
  }
  direction.finished.store(round, std::memory_order_release);
}

bool bell_rings(const Direction& direction, int timeout_ms) {
  pollfd wanted{.fd = direction.bell.get(), .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, timeout_ms) == 1;
}

// Sleeps until the bell rings. False when it never will: the publisher is through and has not rung.
bool sleep_until_rung(const Direction& direction, std::uint64_t round) {
  const bool in_kernel = round % kSleepEvery < 2;  // two rounds in a row: one of each direction
  for (;;) {
    const bool finished = direction.finished.load(std::memory_order_acquire) >= round;
    if (bell_rings(direction, in_kernel && !finished ? kSleepMs : 0)) return true;
    if (finished) return false;
    shm::pause_processor();
  }
}

bool has_entry(Direction& direction) { return direction.consumer.available().value_or(0) > 0; }

// Waits longer after it was too early, and less long after it was too late: so the two sides' steps stay on top of each
// other, whatever the compiler, the processor and the sanitizers make of them.
void adapt_delay(Direction& direction, bool too_early) {
  auto& delay = direction.sleeper_delay;
  if (too_early && delay < kSleeperDelayMax) ++delay;
  if (!too_early && delay > 0) --delay;
}

void receive(Direction& direction, std::uint64_t round, Tally& tally) {
  for (bool first = true;; first = false) {
    arm(direction.armed);
    const bool found = has_entry(direction);
    if (first) adapt_delay(direction, !found);
    if (found) break;
    if (first) ++tally.slept;
    if (!sleep_until_rung(direction, round)) {
      ++tally.lost;
      if (has_entry(direction)) break;  // the proof: asleep beside an entry
      ++tally.wrong;
      return;
    }
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(direction.bell.get(), &count, sizeof count);
  }
  disarm(direction.armed);
  if (direction.consumer.take().tag != round) ++tally.wrong;
  direction.consumer.release();
}

struct Totals {
  std::uint64_t rounds = 0;
  std::uint64_t lost = 0;
  std::uint64_t slept = 0;
  std::uint64_t wrong = 0;
};

// One round of one side, from the start line on.
void take_part(std::array<Direction, 2>& directions, int self, std::uint64_t round, test::StartLine& start_line,
               test::Jitter& jitter, Tally& tally) {
  auto& direction = directions[round % 2];
  const bool publishes = round % 2 == static_cast<std::uint64_t>(self);
  if (publishes) direction.producer.push({.tag = round});
  // Each has what it is about to read in its cache, so that a store of the other takes longest to reach it.
  static_cast<void>(publishes ? direction.armed.load() : direction.indexes.tail.load());
  const auto delay = (publishes ? kPublisherDelay : direction.sleeper_delay) + jitter.next() % 16;
  start_line.meet(self, 2 * round);
  test::Jitter::delay(delay);
  if (publishes) {
    publish(direction, round);
  } else {
    receive(direction, round, tally);
  }
}

Totals race() {
  std::array<Direction, 2> directions;
  test::StartLine start_line;
  Tally tally;
  std::atomic<std::uint64_t> rounds_run{0};
  const auto side = [&](int self) {
    test::Jitter jitter(test::seed() + static_cast<std::uint64_t>(self));
    // Both see the same count of losses, since only the round between the two meetings changes it.
    for (std::uint64_t round = 1; round <= kRounds && tally.lost < kLostEnough; ++round) {
      take_part(directions, self, round, start_line, jitter, tally);
      rounds_run = round;
      start_line.meet(self, 2 * round + 1);
    }
  };
  test::run_two_threads([&] { side(0); }, [&] { side(1); });
  return {.rounds = rounds_run, .lost = tally.lost, .slept = tally.slept, .wrong = tally.wrong};
}

void print(const Totals& totals) {
  std::printf("rounds %llu, slept %llu, wakes lost %llu\n", static_cast<unsigned long long>(totals.rounds),
              static_cast<unsigned long long>(totals.slept), static_cast<unsigned long long>(totals.lost));
}

}  // namespace

#if !defined(TLSMUX_TEST_OF_MUTANT)

TEST_CASE("ring.wake stress loses no wake in two million races") {
  const auto totals = race();
  print(totals);
  CHECK(totals.rounds == kRounds);
  CHECK(totals.lost == 0);
  CHECK(totals.wrong == 0);
  // Else it raced for nothing: both orders must have come up often.
  if (test::usable_cpus() > 1) {
    CHECK(totals.slept > kRounds / 1000);
    CHECK(totals.slept < kRounds - kRounds / 1000);
  }
}

#else

TEST_CASE("ring.wake stress finds that the fence is missing") {
  if (test::usable_cpus() < 2) {
    test::skip("one processor alone runs its stores and loads in order; the missing fence cannot show");
    return;
  }
#if defined(__SANITIZE_THREAD__)
  test::skip("ThreadSanitizer's atomics bring fences of their own; the missing one cannot show");
  return;
#endif
  const auto totals = race();
  print(totals);
  CHECK(totals.lost >= kLostEnough);
  CHECK(totals.wrong == 0);
}

#endif
