#include <doctest/doctest.h>

#include <chrono>

#include "tests/simulation/shard_rig.hpp"

using namespace tlsmux;
using simulation::ShardRig;

// The kernel may still send from the memory of a stream whose socket is not closed.
TEST_CASE("stream.engine that has stood still beyond its time for stopping waits until streams' sockets are closed") {
  ShardRig rig;
  auto pipe = std::make_shared<simulation::StreamPipe>();
  pipe->room_bytes = 4096;
  pipe->stream = rig.context.streams.open({.upstream = 0, .group = 0, .engine = rig.engine.number()});
  rig.engine.open_stream({.pid = 7, .group = 0, .upstream = 0, .wait_ms = 10'000, .pipe = pipe});
  rig.settle();
  REQUIRE_FALSE(rig.engine.has_no_streams());
  rig.engine.drain(1000);
  rig.engine.turn();
  REQUIRE_FALSE(rig.engine.has_no_streams());

  rig.context.now_ns += std::chrono::nanoseconds(std::chrono::hours(1)).count();
  for (int turns = 0; turns < 10 && !rig.engine.is_stopped(); ++turns) rig.engine.turn();
  CHECK(rig.engine.is_stopped());
  CHECK(rig.engine.has_no_streams());
}
