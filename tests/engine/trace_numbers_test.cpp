#include "engine/shard/trace_numbers.hpp"

#include <array>
#include <set>

#include <doctest/doctest.h>

#include "tests/engine/trace_desk.hpp"

using namespace tlsmux;
using namespace tlsmux::engine;

TEST_CASE("engine.trace numbers go through the whole range once") {
  const auto config = trace_config(1, 1000, 7);
  Desk desk(config, broker_from(config));  // the last block is shorter
  std::array<TestChannel, 3> channels;
  std::set<std::uint32_t> seen;
  // Blocks that a channel holds without having begun them are missing in the end.
  while (const auto number = desk.next(channels[seen.size() % channels.size()])) {
    CHECK(*number >= 1);
    CHECK(*number <= 1000);
    REQUIRE(seen.insert(*number).second);
  }
  CHECK(seen.size() > 1000 - channels.size() * 3 * 7);
}

TEST_CASE("engine.channels that do not ask lease nothing") {
  const auto config = trace_config(1, 1000, 8);
  Desk desk(config, broker_from(config));
  TestChannel channel;
  for (int i = 0; i < 10; ++i) {
    CHECK(desk.look(channel).empty());
    desk.turn();
  }
  CHECK(desk.reservations == 0);
  CHECK(desk.numbers.next_due_ns() == 0);
}

TEST_CASE("engine.a block rests before it is leased again") {
  const auto config = trace_config(1, 64, 4);
  Desk desk(config, broker_from(config));  // 16 blocks
  auto channel = std::make_unique<TestChannel>();
  std::set<std::uint32_t> seen;
  while (const auto number = desk.next(*channel)) seen.insert(*number);
  CHECK(seen.size() == 64);
  desk.now += 59 * kSecond;
  CHECK_FALSE(desk.next(*channel).has_value());
  desk.now += 6 * kSecond;
  const auto again = desk.next(*channel);
  REQUIRE(again.has_value());
  CHECK(seen.contains(*again));
}

TEST_CASE("engine.no trace number comes while it may be in flight") {
  const auto config = trace_config(1, 64, 4);
  Desk desk(config, broker_from(config));
  TestChannel channel;
  while (desk.next(channel)) {
  }
  // Taken in half a minute after the last block was left: it may bear any of the numbers.
  const auto index = desk.requests.allocate();
  auto& request = desk.requests[index];
  request.state = mux::RequestState::in_flight;
  request.upstream = 0;
  request.intake_ns = desk.now + 30 * kSecond;
  desk.now += 600 * kSecond;
  CHECK_FALSE(desk.next(channel).has_value());
  request.state = mux::RequestState::abandoned;  // a late answer may still come
  desk.now += 600 * kSecond;
  CHECK_FALSE(desk.next(channel).has_value());
  desk.requests.release(index);
  desk.now += 10 * kSecond;
  CHECK(desk.next(channel).has_value());
}

TEST_CASE("engine.requests that came in later do not hold trace numbers back") {
  const auto config = trace_config(1, 64, 4);
  Desk desk(config, broker_from(config));
  TestChannel channel;
  while (desk.next(channel)) {
  }
  const auto index = desk.requests.allocate();
  desk.requests[index].state = mux::RequestState::in_flight;
  desk.requests[index].upstream = 0;
  desk.requests[index].intake_ns = desk.now + 61 * kSecond;
  desk.now += 70 * kSecond;
  CHECK(desk.next(channel).has_value());
}

TEST_CASE("engine.blocks of a channel that has gone rest from then on") {
  const auto config = trace_config(1, 64, 4);
  Desk desk(config, broker_from(config));
  auto first = std::make_unique<TestChannel>();
  REQUIRE(desk.next(*first).has_value());  // one begun, two ahead
  desk.now += 1000 * kSecond;
  TestChannel second;
  std::set<std::uint32_t> seen;
  while (const auto number = desk.next(second)) seen.insert(*number);
  CHECK(seen.size() == 64 - 3 * 4);
  desk.numbers.leave(0, first->lease);
  first.reset();
  desk.now += 59 * kSecond;
  desk.turn();
  CHECK_FALSE(desk.next(second).has_value());
  desk.now += 10 * kSecond;
  CHECK(desk.next(second).has_value());
}

TEST_CASE("engine.a block that was kept into the next round is not leased in that one") {
  const auto config = trace_config(1, 64, 4);  // 16 blocks
  Desk desk(config, broker_from(config));
  TestChannel fast;
  for (int i = 0; i < 20; ++i) REQUIRE(desk.next(fast).has_value());
  TestChannel slow;
  const auto kept = desk.next(slow).value();
  while (desk.next(fast)) {
  }
  desk.now += 70 * kSecond;
  auto last = desk.next(fast).value();
  CHECK(last == 1);
  desk.numbers.leave(0, slow.lease);  // in the second round, of which it might have had numbers
  desk.now += 70 * kSecond;
  bool third_round = false;
  while (last != kept) {
    const auto number = desk.await(fast);
    third_round = third_round || number < last;
    last = number;
  }
  CHECK(third_round);
}

TEST_CASE("engine.chunks are reserved before they are needed") {
  const auto config = trace_config(1, 6400, 4);
  Desk desk(config, broker_from(config));  // chunks of 25 blocks: 100 numbers
  TestChannel channel;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(desk.next(channel).has_value());
    CHECK(desk.reservations <= static_cast<std::uint32_t>(i) / 100 + 2);
  }
}

TEST_CASE("engine.a broker that cannot reserve is asked again") {
  const auto config = trace_config(1, 6400, 4);
  Desk desk(config, broker_from(config));
  desk.broker_fails = true;
  TestChannel channel;
  CHECK_FALSE(desk.next(channel).has_value());
  CHECK(desk.reservations == 1);
  CHECK(desk.numbers.next_due_ns() != 0);
  desk.broker_fails = false;
  desk.now += 6 * kSecond;
  desk.turn();
  desk.turn();
  CHECK(desk.grants == 1);
  CHECK(desk.next(channel).has_value());
}

TEST_CASE("engine.the engine takes trace numbers for its own messages") {
  const auto config = trace_config(1, 6400, 4);
  Desk desk(config, broker_from(config));
  TestChannel channel;
  CHECK_FALSE(desk.numbers.take_own(0).has_value());
  desk.turn();
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 500; ++i) {
    const auto own = desk.numbers.take_own(0);
    desk.turn();
    REQUIRE(own.has_value());
    CHECK(seen.insert(*own).second);
    CHECK(seen.insert(desk.next(channel).value()).second);
  }
}

TEST_CASE("hostile.a client that lies about its blocks is an offender") {
  const auto config = trace_config(1, 6400, 4);
  Desk desk(config, broker_from(config));
  TestChannel channel;
  REQUIRE(desk.next(channel).has_value());
  for (const std::uint32_t taken : {0U, 6U, 7U, 1000U, 0xffffffffU}) {
    channel.memory->taken.store(taken);
    CHECK_FALSE(desk.look(channel).empty());
  }
}
