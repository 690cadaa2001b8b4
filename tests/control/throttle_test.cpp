#include "engine/control/throttle.hpp"

#include <doctest/doctest.h>

#include "engine/control/user_throttle.hpp"

using tlsmux::engine::control::Throttle;
using tlsmux::engine::control::UserThrottle;

TEST_CASE("engine.throttle lets a few through each second and counts the rest") {
  Throttle throttle;
  const Throttle::Clock::time_point now{std::chrono::hours(1)};
  for (std::uint32_t i = 0; i < Throttle::kPerSecondMax; ++i) CHECK(throttle.pass(now) == 0);
  for (int i = 0; i < 5; ++i) CHECK(!throttle.pass(now + std::chrono::milliseconds(999)));
  CHECK(throttle.pass(now + std::chrono::seconds(1)) == 5);
  CHECK(throttle.pass(now + std::chrono::seconds(1)) == 0);
}

TEST_CASE("engine.throttle of users hides nobody's lines behind another's") {
  UserThrottle throttle;
  const Throttle::Clock::time_point now{std::chrono::hours(1)};
  for (int i = 0; i < 1000; ++i) CHECK(throttle.pass(7, now).has_value() == (i < 10));
  CHECK(throttle.pass(8, now) == 0);
  CHECK(throttle.pass(7, now + std::chrono::seconds(1)) == 990);
}

TEST_CASE("engine.throttle of users has room for so many at a time, and keeps the rest to a few lines in all") {
  UserThrottle throttle;
  Throttle::Clock::time_point now{std::chrono::hours(1)};
  int lines = 0;
  for (uid_t uid = 0; uid < 10'000; ++uid) lines += throttle.pass(uid, now) ? 1 : 0;
  CHECK(lines == UserThrottle::kUsersMax + Throttle::kPerSecondMax);
  // Those who were there before are not affected, and a second later there is room again.
  CHECK(throttle.pass(0, now));
  now += std::chrono::seconds(1);
  lines = 0;
  for (uid_t uid = 20'000; uid < 20'000 + UserThrottle::kUsersMax; ++uid) lines += throttle.pass(uid, now) == 0 ? 1 : 0;
  CHECK(lines == UserThrottle::kUsersMax);
}
