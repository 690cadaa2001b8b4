// How long a data loop looks before it sleeps.
#include <doctest/doctest.h>

#include "engine/shard/idle.hpp"

namespace tlsmux::engine::test {

using config::IdleStrategy;

namespace {

void feed(Idle& idle, std::uint64_t idle_ns, int times) {
  for (int i = 0; i < times; ++i) idle.ended(idle_ns);
}

}  // namespace

TEST_CASE("engine.an idle loop of the latency kind always looks again, one of the power kind never") {
  Idle idle;
  for (const std::uint64_t idle_ns : {100U, 10'000U, 1'000'000'000U}) {
    feed(idle, idle_ns, 100);
    CHECK(idle.spin_ns(IdleStrategy::latency) == Idle::kLatencySpinNs);
    CHECK(idle.spin_ns(IdleStrategy::power) == 0);
  }
}

TEST_CASE("engine.a balanced idle loop looks again while that has paid off") {
  Idle idle;
  CHECK(idle.spin_ns(IdleStrategy::balanced) == 0);  // nothing is known yet
  feed(idle, Idle::kBalancedSpinNs / 2, 64);
  CHECK(idle.spin_ns(IdleStrategy::balanced) == Idle::kBalancedSpinNs);
  feed(idle, 2 * Idle::kBalancedSpinNs, 64);
  CHECK(idle.spin_ns(IdleStrategy::balanced) == 0);
}

TEST_CASE("engine.a balanced idle loop forgets a long sleep after a few short ones") {
  Idle idle;
  feed(idle, 5'000, 64);
  idle.ended(60'000'000'000);
  int short_ones = 0;
  while (idle.spin_ns(IdleStrategy::balanced) == 0 && short_ones < 100) {
    idle.ended(5'000);
    ++short_ones;
  }
  CHECK(short_ones > 0);
  CHECK(short_ones <= 10);
}

}  // namespace tlsmux::engine::test
