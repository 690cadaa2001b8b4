#include "engine/broker/restart_policy.hpp"

#include <doctest/doctest.h>

using std::chrono::milliseconds;
using tlsmux::engine::broker::RestartPolicy;

TEST_CASE("engine.restart is at once unless engines keep dying young") {
  RestartPolicy policy;
  const milliseconds young(5);
  const milliseconds old(60'000);
  CHECK(policy.next_delay(old) == milliseconds(0));
  CHECK(policy.next_delay(old) == milliseconds(0));
  CHECK(policy.next_delay(young) == milliseconds(100));
  CHECK(policy.next_delay(young) == milliseconds(200));
  CHECK(policy.next_delay(young) == milliseconds(400));
  for (int i = 0; i < 10; ++i) policy.next_delay(young);
  CHECK(policy.next_delay(young) == RestartPolicy::kDelayMax);
  CHECK(policy.next_delay(old) == milliseconds(0));
  CHECK(policy.next_delay(young) == milliseconds(100));
}

TEST_CASE("engine.restart of the very first engine is at once even if it died young") {
  CHECK(RestartPolicy().next_delay(milliseconds(1)) == milliseconds(0));
}
