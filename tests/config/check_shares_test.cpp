// Limits that are too small for a part of each group.
#include <doctest/doctest.h>

#include "config/check/check_shares.hpp"
#include "tests/config/config_text.hpp"

namespace tlsmux::config::test {
namespace {

// Two groups, one upstream of both.
Config shared(StreamKind kind) {
  Config config;
  for (const auto* name : {"A", "B"}) {
    config.groups.push_back({.name = name, .users = {}, .unix_groups = {}, .memory = {}, .orphans = {}});
  }
  UpstreamSettings upstream;
  upstream.groups = {"A", "B"};
  upstream.streams.kind = kind;
  upstream.sessions = upstream.sessions_max = 4;
  config.upstreams = {upstream};
  return config;
}

std::string doubts(const Config& config) { return in_words(find_shares_of_none(config)); }

std::string doubt(std::string_view pointer, int limit) {
  return "FILE: " + std::string(pointer) + ": of " + std::to_string(limit) +
         " no part is kept for each of 2 groups: one of them may have all; from 4 on each has a part of its own\n";
}

TEST_CASE("config.requests that are too few for a part of each group are a warning") {
  auto config = shared(StreamKind::messages);
  config.engine.in_flight_max = 4;
  CHECK(doubts(config).empty());
  config.engine.in_flight_max = 3;
  CHECK(doubts(config) == doubt("/engine/in_flight_max", 3));
  SUBCASE("where there are none") { config.upstreams[0].streams.kind = StreamKind::leased; }
  SUBCASE("of one group") { config.groups.pop_back(); }
  CHECK(doubts(config).empty());
}

TEST_CASE("config.streams and leased sessions that are too few for a part of each group are a warning") {
  auto config = shared(StreamKind::leased);
  auto& upstream = config.upstreams[0];
  upstream.streams.open_max = 4;
  CHECK(doubts(config).empty());
  upstream.streams.open_max = 3;
  upstream.sessions = 2;
  upstream.sessions_max = 3;
  CHECK(doubts(config) == doubt("/upstreams/0/streams/open_max", 3) + doubt("/upstreams/0/sessions_max", 3));
  upstream.sessions_max = 0;
  CHECK(doubts(config) == doubt("/upstreams/0/streams/open_max", 3) + doubt("/upstreams/0/sessions", 2));
  SUBCASE("sessions that carry the messages of all") {
    upstream.streams.kind = StreamKind::messages;
    upstream.streams.open_max = 4;
  }
  SUBCASE("of one group") { upstream.groups.pop_back(); }
  CHECK(doubts(config).empty());
}

}  // namespace
}  // namespace tlsmux::config::test
