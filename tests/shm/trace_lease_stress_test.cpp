// An engine that grants blocks of random lengths and a client that counts through them, as threads, which a sanitizer
// can watch. Each number must come once and in order.
#include <doctest/doctest.h>

#include <memory>

#include "shm/trace_lease.hpp"
#include "tests/shm/two_threads.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

TEST_CASE("ring.stress: a lease hands out each trace number once") {
  constexpr std::uint32_t kBlocks = 20'000;
  const auto lease = std::make_unique<TraceLease>();
  std::atomic<bool> failed = false;
  INFO("TLSMUX_SEED=", test::seed());
  const auto engine = [&] {
    TraceLeaseProducer producer(lease.get());
    test::Jitter jitter(test::seed());
    std::uint32_t first = 1;
    for (std::uint32_t granted = 0; granted < kBlocks && !failed;) {
      if (!producer.look()) failed = true;
      jitter.wait();
      while (!failed && granted < kBlocks && producer.ahead() < kTraceBlocks) {
        const auto count = static_cast<std::uint32_t>(jitter.next() % 5 + 1);
        producer.push({.first = first, .count = count});
        first += count;
        ++granted;
      }
      producer.publish();
      if (producer.ahead() == kTraceBlocks) ::sched_yield();
    }
  };
  const auto client = [&] {
    TraceLeaseConsumer consumer(lease.get());
    test::Jitter jitter(test::seed() + 1);
    std::uint32_t expected = 1;
    for (std::uint32_t begun = 0; begun < kBlocks && !failed;) {
      const auto block = consumer.begin_block();
      if (!block) failed = true;
      if (!block || !*block) {
        ::sched_yield();
        continue;
      }
      ++begun;
      for (std::uint32_t number = 0; consumer.next(number);) failed = failed || number != expected++;
      jitter.wait();
    }
  };
  test::run_two_threads(engine, client);
  CHECK_FALSE(failed);
}
