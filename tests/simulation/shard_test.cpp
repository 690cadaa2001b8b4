// What one data loop does for its clients: channels, turns, wakes, offenders, the end.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

#include "tests/simulation/shard_rig.hpp"

using namespace tlsmux;
using simulation::shard_config;
using simulation::ShardRig;
using simulation::take_count;

namespace {

using Words = std::vector<std::string>;

constexpr const char* kAnswered = "ANSWERED";

}  // namespace

TEST_CASE("engine.a request goes through and its slots come back") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  client->push(0, 50);
  client->publish(0);
  CHECK(client->channels[0]->engine_holds_slots());
  rig.settle();
  CHECK(client->collect(0) == Words{kAnswered});
  CHECK_FALSE(client->channels[0]->engine_holds_slots());
  CHECK(rig.engine.multiplexer().requests_held() == 0);
}

TEST_CASE("engine.channels are refused with the reason") {
  ShardRig rig;
  const auto client = rig.attach();
  rig.open_channel(*client, "nowhere");
  rig.open_channel(*client, "other");
  for (int i = 0; i < 3; ++i) rig.open_channel(*client, "host");
  CHECK(client->refusals == std::vector<int>{ENOENT, EACCES, EAGAIN});
  CHECK(client->channels.size() == 2);
  CHECK(client->channels[0]->number() != client->channels[1]->number());
}

TEST_CASE("stream.a channel to an upstream whose sessions are leased is refused") {
  auto config = shard_config();
  config.upstreams[0].streams.kind = config::StreamKind::leased;
  ShardRig rig(config);
  const auto client = rig.attach();
  rig.open_channel(*client, "host");
  CHECK(client->refusals == std::vector<int>{EINVAL});
  CHECK(client->channels.empty());
}

TEST_CASE("engine.a channel is closed only when nothing of it is in flight, and can be used anew") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  client->push(0, 20, 1000);
  client->publish(0);
  rig.engine.turn();  // wakes up and takes it
  rig.engine.turn();
  rig.engine.close_channel(client->attached.id, 0);
  rig.settle();
  REQUIRE(client->closed.size() == 1);
  CHECK(client->collect(0) == Words{kAnswered});
  rig.engine.close_channel(client->attached.id, 7);
  rig.engine.close_channel(client->attached.id, 0);
  rig.settle();
  CHECK(client->closed == std::vector<int>{EBUSY, EINVAL, 0});
  client->channels.clear();
  rig.open_channel(*client, "host");
  client->push(0, 20);
  client->publish(0);
  rig.settle();
  CHECK(client->collect(0) == Words{kAnswered});
}

TEST_CASE("engine.a channel whose last outcome is not published yet is not closed") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  client->push(0, 20);
  client->publish(0);
  client->channels[0]->arm_wake();
  while (!rig.engine.multiplexer().requests_held()) rig.engine.turn();
  while (rig.network.step()) {
  }
  // The answer comes in the very turn in which the channel is to be closed.
  rig.engine.close_channel(client->attached.id, 0);
  rig.settle();
  CHECK(client->closed == std::vector<int>{EBUSY});
  CHECK(client->collect(0) == Words{kAnswered});
  CHECK(take_count(client->channels[0]->wake_descriptor()) == 1);
}

TEST_CASE("engine.what is published while a long ring is being drained is not forgotten") {
  auto config = shard_config();
  config.groups[0].memory.slots_per_channel = 1200;
  config.groups[0].memory.slot_bytes = 100;
  config.upstreams[0].in_flight_max = 1000;
  ShardRig rig(config);
  const auto client = rig.attach_with_channel();
  for (int i = 0; i < 300; ++i) client->push(0, 20, 100'000);
  client->publish(0);
  while (!rig.engine.wants_turn()) {
  }
  rig.engine.turn();  // takes a part
  const auto taken = rig.engine.multiplexer().requests_held();
  REQUIRE(taken > 0);
  REQUIRE(taken < 300);
  for (int i = 0; i < 10; ++i) client->push(0, 20, 100'000);
  client->publish(0);
  rig.settle();
  CHECK(client->collect(0) == Words(310, kAnswered));
}

TEST_CASE("engine.a request that is on the ring before the shard knows its channel is taken") {
  ShardRig rig;
  const auto first = rig.attach_with_channel();  // from now on others need not ask the shard
  const auto client = rig.attach();
  rig.engine.open_channel(client->attached.id, "host");
  REQUIRE(client->channels.size() == 1);
  client->push(0, 50);
  client->publish(0);
  SUBCASE("and its ready bit is still set") {}
  SUBCASE("though its ready bit is gone") { client->words().ready.store(0); }
  rig.settle();
  CHECK(client->collect(0) == Words{kAnswered});
  // The same number once more, with what is on its rings now.
  rig.engine.close_channel(client->attached.id, 0);
  rig.settle();
  REQUIRE(client->closed == std::vector<int>{0});
  client->channels.clear();
  rig.engine.open_channel(client->attached.id, "host");
  REQUIRE(client->channels.size() == 1);
  client->push(0, 20);
  client->publish(0);
  rig.settle();
  CHECK(client->collect(0) == Words{kAnswered});
  CHECK(client->offences.empty());
}

TEST_CASE("engine.a sleeping client is woken once for a batch") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  auto& channel = *client->channels[0];
  for (int i = 0; i < 3; ++i) client->push(0, 20);
  client->publish(0);
  channel.arm_wake();
  rig.settle();
  CHECK(take_count(channel.wake_descriptor()) == 1);
  CHECK(client->collect(0).size() == 3);
  SUBCASE("awake, it is left alone") {
    client->push(0, 20);
    client->publish(0);
    rig.settle();
    CHECK(take_count(channel.wake_descriptor()) == 0);
  }
  SUBCASE("asleep again, it is woken again") {
    channel.arm_wake();
    client->push(0, 20);
    client->publish(0);
    rig.settle();
    CHECK(take_count(channel.wake_descriptor()) == 1);
  }
  CHECK(client->collect(0).size() == 1);
}

TEST_CASE("engine.an idle client must ring, a busy one need not") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  CHECK(rig.engine.is_fast_asleep());
  CHECK(client->words().engine_armed.load() == 1);
  client->push(0, 20);
  client->publish(0);
  CHECK(client->words().engine_armed.load() == 0);
  CHECK(rig.engine.wants_turn());
  rig.engine.turn();
  client->push(0, 20);
  client->publish(0);
  CHECK(client->words().engine_armed.load() == 0);
  rig.settle();
  CHECK(client->collect(0).size() == 2);
}

TEST_CASE("engine.a client's end in each state releases all of it") {
  ShardRig rig;
  auto client = rig.attach_with_channel();
  SUBCASE("idle") {}
  SUBCASE("with a request on the ring") {
    client->push(0, 20);
    client->publish(0);
  }
  SUBCASE("with a request in flight") {
    client->push(0, 20);
    client->publish(0);
    while (rig.engine.multiplexer().requests_held() == 0) rig.engine.turn();
  }
  SUBCASE("asleep, with a wake on its way") {
    client->push(0, 20);
    client->publish(0);
    client->channels[0]->arm_wake();
    while (rig.engine.wants_turn() || rig.network.step()) {
      if (rig.engine.wants_turn()) rig.engine.turn();
    }
  }
  rig.engine.dismiss(client->attached.id, true);
  client.reset();
  rig.settle();
  CHECK_FALSE(rig.engine.has_clients());
  CHECK(rig.engine.multiplexer().requests_left() == 0);
  rig.advance_ms(100'000);
  CHECK(rig.engine.multiplexer().requests_held() == 0);
}

TEST_CASE("engine.places of clients that left are used again") {
  ShardRig rig;
  for (int i = 0; i < 10; ++i) {
    const auto first = rig.attach_with_channel();
    const auto second = rig.attach_with_channel();
    second->push(0, 20);
    second->publish(0);
    rig.engine.dismiss(first->attached.id, false);
    rig.settle();
    CHECK(second->collect(0) == Words{kAnswered});
    rig.engine.dismiss(second->attached.id, true);
    rig.settle();
    CHECK_FALSE(rig.engine.has_clients());
  }
}

TEST_CASE("engine.draining ends what waits, and clients hear of it before the engine stops") {
  auto config = shard_config();
  config.upstreams[0].in_flight_max = 1;
  ShardRig rig(config);
  const auto client = rig.attach_with_channel();
  rig.context.faults[simulation::Fault::silent] = 1000;
  for (int i = 0; i < 3; ++i) client->push(0, 20);
  client->publish(0);
  rig.settle();
  CHECK(client->collect(0).empty());
  rig.engine.drain(100);
  rig.settle();
  client->push(0, 20);
  client->publish(0);
  rig.settle();
  CHECK(client->collect(0) == Words{"NOT_SENT engine_draining"});
  CHECK_FALSE(rig.engine.is_stopped());
  rig.advance_ms(100);
  CHECK(rig.engine.is_stopped());
  auto words = client->collect(0);
  std::ranges::sort(words);
  CHECK(words == Words{"MAYBE_SENT engine_draining", "NOT_SENT engine_draining", "NOT_SENT engine_draining"});
}

TEST_CASE("engine.draining while every session backs off stops at once, with every outcome told") {
  auto config = shard_config();
  config.upstreams[0].backoff = {.initial_ms = 10'000, .max_ms = 10'000, .jitter_percent = 0};
  config.upstreams[1].backoff = config.upstreams[0].backoff;
  ShardRig rig(config);
  const auto client = rig.attach_with_channel();
  rig.context.faults[simulation::Fault::reset] = 1000;
  for (int i = 0; i < 10; ++i) rig.network.step();
  rig.settle();
  rig.context.faults[simulation::Fault::reset] = 0;
  client->push(0, 20);  // waits for the session, which was up and is to come again
  client->publish(0);
  rig.settle();
  REQUIRE(rig.engine.multiplexer().requests_left() == 1);
  rig.engine.drain(0);
  rig.settle();
  CHECK(rig.engine.is_stopped());
  CHECK(client->collect(0) == Words{"NOT_SENT engine_draining"});
}
