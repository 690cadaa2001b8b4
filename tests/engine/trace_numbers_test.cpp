#include "engine/trace_numbers.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>

#include <doctest/doctest.h>

using namespace tlsmux;
using namespace tlsmux::engine;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

config::Config config_of(std::uint32_t first, std::uint32_t last, std::uint32_t block) {
  config::Config config;
  config.upstreams.resize(1);
  config.upstreams[0].trace_numbers = {.first = first, .last = last, .block = block};
  return config;
}

// A channel of a client that takes numbers as the library does.
struct TestChannel {
  std::unique_ptr<shm::TraceLease> memory = std::make_unique<shm::TraceLease>();
  shm::TraceLeaseConsumer client{memory.get()};
  ChannelTraceLease lease{.producer = shm::TraceLeaseProducer(memory.get()), .blocks = {}};
};

// The engine's part with a clock and a broker of the test's own.
struct Desk {
  explicit Desk(const config::Config& config_in, std::uint32_t next_block_in = 0)
      : config(config_in), numbers(config), next_block(next_block_in) {
    numbers.set_time(now);
    numbers.start();
  }

  // What a turn of the shard does; the broker answers at once.
  void turn() {
    numbers.set_time(now);
    numbers.work(requests);
    for (const auto& need : numbers.take_needs()) {
      ++reservations;
      if (broker_fails) {
        numbers.fail(need.upstream);
        continue;
      }
      const auto count = trace_block_count(config.upstreams[0].trace_numbers);
      const TraceChunk chunk{.first = next_block, .count = std::min(need.blocks, count - next_block)};
      next_block = (next_block + chunk.count) % count;
      numbers.add(need.upstream, chunk);
    }
    numbers.work(requests);
  }

  std::string_view look(TestChannel& channel) { return numbers.look(0, 7, channel.lease); }

  // As tmx_next_trace_number, but gives up where that would wait.
  std::optional<std::uint32_t> next(TestChannel& channel) {
    std::uint32_t number = 0;
    if (channel.client.next(number)) return number;
    for (int i = 0; i < 3; ++i) {
      if (channel.client.begin_block().value()) {
        CHECK(look(channel).empty());
        turn();
        CHECK(channel.client.next(number));
        return number;
      }
      if (!channel.client.has_asked()) channel.client.ask();
      CHECK(look(channel).empty());
      turn();
    }
    return std::nullopt;
  }

  config::Config config;
  TraceNumbers numbers;
  mux::RequestTable requests{8, 16};
  std::uint64_t now = 1000 * kSecond;
  std::uint32_t next_block;
  std::uint32_t reservations = 0;
  bool broker_fails = false;
};

}  // namespace

TEST_CASE("engine.trace numbers go through the whole range once") {
  Desk desk(config_of(1, 1000, 7));  // the last block is shorter
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
  Desk desk(config_of(1, 1000, 8));
  TestChannel channel;
  for (int i = 0; i < 10; ++i) {
    CHECK(desk.look(channel).empty());
    desk.turn();
  }
  CHECK(desk.reservations == 0);
  CHECK(desk.numbers.next_due_ns() == 0);
}

TEST_CASE("engine.a block rests before it is leased again") {
  Desk desk(config_of(1, 64, 4));  // 16 blocks
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
  Desk desk(config_of(1, 64, 4));
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
  Desk desk(config_of(1, 64, 4));
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
  Desk desk(config_of(1, 64, 4));
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

TEST_CASE("engine.a restart goes on with the next chunk and spares what the engine before it leased") {
  const auto config = config_of(1, 6400, 4);  // 1600 blocks, in chunks of 25
  Desk before(config);
  TestChannel old;
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 300; ++i) seen.insert(before.next(old).value());
  Desk after(config, before.next_block);
  TestChannel fresh;
  for (int i = 0; i < 300; ++i) CHECK(seen.insert(after.next(fresh).value()).second);

  // Almost at the end of the round: what comes first in the next one waits for a minute.
  Desk late(config, 1595);
  TestChannel channel;
  for (int i = 0; i < 20; ++i) CHECK(late.next(channel).value() > 1595 * 4);
  CHECK_FALSE(late.next(channel).has_value());
  late.now += 61 * kSecond;
  CHECK(late.next(channel).value() == 1);
}

TEST_CASE("engine.chunks are reserved before they are needed") {
  Desk desk(config_of(1, 6400, 4));  // chunks of 25 blocks: 100 numbers
  TestChannel channel;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(desk.next(channel).has_value());
    CHECK(desk.reservations <= static_cast<std::uint32_t>(i) / 100 + 2);
  }
}

TEST_CASE("engine.a broker that cannot reserve is asked again") {
  Desk desk(config_of(1, 6400, 4));
  desk.broker_fails = true;
  TestChannel channel;
  CHECK_FALSE(desk.next(channel).has_value());
  CHECK(desk.reservations == 1);
  CHECK(desk.numbers.next_due_ns() != 0);
  desk.broker_fails = false;
  desk.now += 6 * kSecond;
  desk.turn();
  desk.turn();
  CHECK(desk.numbers.take_granted().size() == 1);
  CHECK(desk.next(channel).has_value());
}

TEST_CASE("engine.the engine takes trace numbers for its own messages") {
  Desk desk(config_of(1, 6400, 4));
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
  Desk desk(config_of(1, 6400, 4));
  TestChannel channel;
  REQUIRE(desk.next(channel).has_value());
  for (const std::uint32_t taken : {0U, 4U, 5U, 1000U, 0xffffffffU}) {
    channel.memory->taken.store(taken);
    CHECK_FALSE(desk.look(channel).empty());
  }
}
