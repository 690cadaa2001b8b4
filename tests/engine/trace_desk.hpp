#pragma once

// Leasing trace numbers without an engine around it.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "engine/shard/trace_numbers.hpp"

namespace tlsmux::engine {

inline constexpr std::uint64_t kSecond = 1'000'000'000;

inline config::Config trace_config(std::uint32_t first, std::uint32_t last, std::uint32_t block) {
  config::Config config;
  config.upstreams.resize(1);
  config.upstreams[0].trace_numbers = {.first = first, .last = last, .block = block};
  return config;
}

// A channel of a client that takes numbers as the library does.
struct TestChannel {
  std::uint32_t ref = 7;
  std::unique_ptr<shm::TraceLease> memory = std::make_unique<shm::TraceLease>();
  shm::TraceLeaseConsumer client{memory.get()};
  ChannelTraceLease lease{.producer = shm::TraceLeaseProducer(memory.get()), .blocks = {}};
};

using Broker = std::function<std::optional<TraceReservation>(const TraceNeed&)>;

// Goes round from a block on, and remembers nothing else.
inline Broker broker_from(const config::Config& config, std::uint32_t next_block = 0) {
  const auto count = trace_block_count(config.upstreams[0].trace_numbers);
  return [count, next_block](const TraceNeed& need) mutable {
    const TraceChunk chunk{.first = next_block, .count = std::min(need.blocks, count - next_block)};
    next_block = (next_block + chunk.count) % count;
    return TraceReservation{.chunk = chunk};
  };
}

// The engine's part with a clock and a broker of the test's own.
struct Desk {
  explicit Desk(const config::Config& config_in, Broker broker_in, std::uint64_t now_in = 1000 * kSecond)
      : config(config_in), numbers(config), now(now_in), broker(std::move(broker_in)) {
    numbers.set_time(now);
  }

  // What a turn of the shard does; the broker answers at once.
  void turn() {
    numbers.set_time(now);
    work();
    for (const auto& [upstream, need] : numbers.take_needs()) {
      ++reservations;
      if (const auto reservation = broker_fails ? std::nullopt : broker(need)) {
        numbers.add(upstream, *reservation);
      } else {
        numbers.fail(upstream);
      }
    }
    work();
  }

  std::string_view look(TestChannel& channel) {
    const auto rule = numbers.look(0, channel.ref, channel.lease);
    tell_granted();
    return rule;
  }

  void work() {
    numbers.work(requests);
    tell_granted();
  }

  // In the order in which they were served.
  void tell_granted() {
    for (const auto ref : numbers.take_granted()) {
      ++grants;
      if (on_granted) on_granted(ref);
    }
  }

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

  // The same, with as much time as it takes.
  std::uint32_t await(TestChannel& channel) {
    for (int seconds = 0; seconds < 1000; ++seconds) {
      if (const auto number = next(channel)) return *number;
      now += kSecond;
      turn();
    }
    FAIL("no trace number comes");
    return 0;
  }

  config::Config config;
  TraceNumbers numbers;
  mux::RequestTable requests{4096, 16};
  std::uint64_t now;
  Broker broker;
  std::uint32_t reservations = 0;
  std::uint32_t grants = 0;
  std::function<void(std::uint32_t)> on_granted{};
  bool broker_fails = false;
};

}  // namespace tlsmux::engine
