#include "engine/control/throttle.hpp"

#include <doctest/doctest.h>

using tlsmux::engine::control::Throttle;

TEST_CASE("engine.throttle lets a few through each second and counts the rest") {
  Throttle throttle;
  const Throttle::Clock::time_point now{std::chrono::hours(1)};
  for (std::uint32_t i = 0; i < Throttle::kPerSecondMax; ++i) CHECK(throttle.pass(now) == 0);
  for (int i = 0; i < 5; ++i) CHECK(!throttle.pass(now + std::chrono::milliseconds(999)));
  CHECK(throttle.pass(now + std::chrono::seconds(1)) == 5);
  CHECK(throttle.pass(now + std::chrono::seconds(1)) == 0);
}
