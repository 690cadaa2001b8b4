// Which endpoint the next session goes to.
#include "engine/mux/endpoint_table.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace tlsmux;
using engine::mux::EndpointLoad;
using engine::mux::EndpointTable;
using shm::Reason;

namespace {

constexpr std::uint64_t kMs = 1'000'000;

config::UpstreamSettings settings(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& priorities_and_weights) {
  config::UpstreamSettings upstream;
  upstream.backoff = {.initial_ms = 100, .max_ms = 1000, .jitter_percent = 0};
  for (const auto& [priority, weight] : priorities_and_weights) {
    upstream.endpoints.push_back({.host = "127.0.0.1", .port = 1, .priority = priority, .weight = weight});
  }
  return upstream;
}

// How many of so many sessions each endpoint gets.
std::vector<std::uint32_t> spread(const EndpointTable& table, std::uint32_t sessions) {
  std::vector<EndpointLoad> loads(table.size());
  for (std::uint32_t i = 0; i < sessions; ++i) {
    const auto chosen = table.for_session(1, loads);
    REQUIRE(chosen);
    ++loads[*chosen].sessions;
  }
  std::vector<std::uint32_t> counts;
  for (const auto& load : loads) counts.push_back(load.sessions);
  return counts;
}

}  // namespace

TEST_CASE("engine.endpoints of the lowest priority number share the sessions by weight") {
  CHECK(spread(EndpointTable(settings({{1, 1}, {1, 2}, {1, 1}})), 8) == std::vector<std::uint32_t>{2, 4, 2});
  CHECK(spread(EndpointTable(settings({{5, 1}, {0, 1}, {0, 3}})), 8) == std::vector<std::uint32_t>{0, 2, 6});
}

TEST_CASE("engine.an endpoint that fails is out for a time that doubles, and then one session tries it") {
  std::mt19937_64 random(1);
  EndpointTable table(settings({{0, 1}}));
  std::vector<EndpointLoad> loads(1);
  std::uint64_t now = 1000 * kMs;
  for (const std::uint64_t pause_ms : {100, 200, 400, 800, 1000, 1000}) {
    const auto started = now;
    now += kMs;
    table.fail(0, started, now, Reason::connect_refused, random);
    table.fail(0, started, now, Reason::connect_refused, random);  // another that began before: counts once
    CHECK(table[0].is_out());
    CHECK(table[0].failed);
    CHECK(table.next_retry_ns(now) == now + pause_ms * kMs);
    CHECK(table.wait_ns(now) == pause_ms * kMs);
    CHECK_FALSE(table.for_session(now + pause_ms * kMs - 1, loads));
    now += pause_ms * kMs;
    CHECK(table.for_session(now, loads) == 0U);
    loads[0].is_tried = true;
    CHECK_FALSE(table.for_session(now, loads));
    loads[0].is_tried = false;
  }
  table.came_up(0);
  CHECK_FALSE(table[0].is_out());
  CHECK_FALSE(table.all_have_failed());
  CHECK(table[0].fruitless == 6);  // until a message has come
  CHECK(table.disappoint(0, now, now + kMs, true, Reason::host_closed, random) == 1000 * kMs);
  table.was_of_use(0);
  CHECK(table.first_pause_ns(random) == 100 * kMs);
}

TEST_CASE("engine.sessions go to what is in order before they try what has failed") {
  std::mt19937_64 random(1);
  EndpointTable table(settings({{0, 1}, {1, 1}}));
  const std::vector<EndpointLoad> loads(2);
  table.fail(0, 1, 2, Reason::connect_refused, random);
  CHECK(table.for_session(3, loads) == 1U);
  CHECK(table.for_session(5000 * kMs, loads) == 1U);
  table.fail(1, 3, 4, Reason::connect_refused, random);
  CHECK_FALSE(table.for_session(5, loads));
  CHECK(table.all_have_failed());
  CHECK(table.for_session(5000 * kMs, loads) == 0U);  // both are due: the better one
}

TEST_CASE("engine.a session moves to a better priority, or to a fairer spread, and not back again") {
  std::mt19937_64 random(1);
  EndpointTable table(settings({{0, 1}, {1, 1}, {1, 1}}));
  CHECK(table.better_than(1, 10, std::vector<EndpointLoad>{{5, false}, {1, false}, {0, false}}) == 0U);
  CHECK_FALSE(table.better_than(0, 10, std::vector<EndpointLoad>{{5, false}, {0, false}, {0, false}}));
  table.fail(0, 1, 2, Reason::connect_refused, random);
  CHECK(table.better_than(1, 10, std::vector<EndpointLoad>{{0, false}, {2, false}, {0, false}}) == 2U);
  CHECK_FALSE(table.better_than(1, 10, std::vector<EndpointLoad>{{0, false}, {1, false}, {0, false}}));
  CHECK_FALSE(table.better_than(1, 10, std::vector<EndpointLoad>{{0, false}, {2, false}, {1, false}}));
  const auto due = table.next_retry_ns(10);
  CHECK(table.better_than(1, due, std::vector<EndpointLoad>{{0, false}, {2, false}, {2, false}}) == 0U);
  CHECK_FALSE(table.better_than(1, due, std::vector<EndpointLoad>{{0, true}, {2, false}, {2, false}}));
}

TEST_CASE("engine.endpoints that stay keep what is known of them, and those in use go only when they are free") {
  std::mt19937_64 random(1);
  auto three = settings({{0, 1}, {0, 1}, {0, 1}});
  for (std::uint16_t i = 0; i < 3; ++i) three.endpoints[i].port = i;
  EndpointTable table(three);
  table.fail(2, 1, 2, Reason::connect_refused, random);
  auto two = settings({{0, 1}, {0, 1}});
  two.endpoints[0].port = 2;
  two.endpoints[1].port = 7;
  const auto places = table.change(two, {true, false, false});
  CHECK(places == std::vector<std::uint32_t>{2, EndpointTable::kGone, 0});
  REQUIRE(table.size() == 3);
  CHECK(table[0].is_out());
  CHECK(!table[1].is_out());
  CHECK(table[2].is_removed);
  const std::vector<EndpointLoad> loads(3);
  CHECK(table.for_session(3, loads) == 1);
  CHECK(table.better_than(2, 3, loads) == 1);
  CHECK(table.better_than(1, 3, loads) == std::nullopt);
  table.fail(1, 4, 5, Reason::connect_refused, random);
  CHECK(table.all_have_failed());
  CHECK(table.change(two, {false, false, false}) == std::vector<std::uint32_t>{0, 1, EndpointTable::kGone});
  CHECK(table.size() == 2);
}
