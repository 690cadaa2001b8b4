// Several endpoints of which some fail.
#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using shm::Reason;
using shm::SessionState;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

constexpr const char* kA = "127.0.0.1:1";
constexpr const char* kB = "127.0.0.2:2";

config::Config two_endpoints(std::uint32_t sessions, std::uint32_t priority_of_second) {
  auto config = test::keyed_config();
  auto& upstream = config.upstreams[0];
  upstream.sessions = sessions;
  upstream.endpoints = {{.host = "127.0.0.1", .port = 1},
                        {.host = "127.0.0.2", .port = 2, .priority = priority_of_second}};
  upstream.backoff = {.initial_ms = 100, .max_ms = 1600, .jitter_percent = 0};
  return config;
}

void refuse(MuxRig& rig, std::size_t session) {
  rig.connect(session, ECONNREFUSED);
  rig.finish_close(session);
}

// How many sessions that take requests lead there.
std::size_t up_at(MuxRig& rig, std::string_view address) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < rig.network.size(); ++i) {
    count += rig.session(i).is_up() && rig.network[i].address.text() == address ? 1 : 0;
  }
  return count;
}

void finish_closing(MuxRig& rig) {
  for (std::size_t i = 0; i < rig.network.size(); ++i) {
    if (rig.network[i].stage == Stage::closing)
      rig.finish_close(i, rig.network[i].sending ? test::kPlainHeaderBytes : 0);
  }
}

}  // namespace

TEST_CASE("engine.an endpoint that fails is out, and one session tries it until it is back") {
  MuxRig rig(two_endpoints(2, 0));
  CHECK(rig.network.dialled() == std::vector<std::string>{kA, kB});
  refuse(rig, 0);
  CHECK(rig.upstream().endpoints[0].is_out());
  CHECK(rig.network.dialled().back() == kB);  // at once
  rig.bring_up_all();
  CHECK(up_at(rig, kB) == 2);
  rig.advance_ms(99);
  CHECK(rig.starting() == 0);
  rig.advance_ms(1);
  REQUIRE(rig.network[2].stage == Stage::connecting);  // the place that is kept for it
  CHECK(rig.network[2].address.text() == kA);
  refuse(rig, 2);
  CHECK(rig.starting() == 0);
  CHECK(up_at(rig, kB) == 2);
  rig.advance_ms(199);
  CHECK(rig.starting() == 0);
  rig.advance_ms(1);
  rig.bring_up(2);
  CHECK_FALSE(rig.upstream().endpoints[0].is_out());
  CHECK(rig.count(SessionState::ready) == 3);  // until it has proved its worth
  SUBCASE("a message comes over it") {
    for (const auto* text : {"0001", "0002", "0003"}) rig.ask(text);
    rig.accept_all(2);
    for (const auto& message : rig.heard(2)) rig.say(2, message);
    rig.advance_ms(0);
  }
  SUBCASE("it lasts") { rig.advance_ms(1600); }
  CHECK(rig.count(SessionState::ready) == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    if (rig.network[i].stage != Stage::up) continue;
    rig.accept_all(i);
    for (const auto& message : rig.heard(i)) rig.say(i, message);
  }
  rig.advance_ms(0);
  finish_closing(rig);
  CHECK(up_at(rig, kA) == 1);
  CHECK(up_at(rig, kB) == 1);
  CHECK(rig.is_clean());
  rig.advance_ms(10'000);
  CHECK(rig.starting() == 0);  // spread as it should be
}

TEST_CASE("engine.a trial that fails after it came up costs no session") {
  MuxRig rig(two_endpoints(2, 1));
  refuse(rig, 0);
  if (rig.network[1].stage == Stage::connecting && rig.network[1].address.text() == kA) refuse(rig, 1);
  rig.bring_up_all();
  CHECK(up_at(rig, kB) == 2);
  rig.advance_to_due();
  rig.bring_up(2);
  rig.lose(2);  // as a load balancer does it whose hosts are gone
  CHECK(rig.upstream().endpoints[0].is_out());
  CHECK(up_at(rig, kB) == 2);
  CHECK(rig.session(2).state == SessionState::none);
  CHECK(rig.mux.next_due_ns() == rig.now_ns + 200'000'000);
}

TEST_CASE("engine.primary_standby uses the best that is up, and goes back without losing a request") {
  auto config = two_endpoints(1, 1);
  config.upstreams[0].session_choice = config::SessionChoice::primary_standby;
  MuxRig rig(config);
  rig.bring_up(0);
  CHECK(up_at(rig, kA) == 1);
  const auto first = rig.ask("0001");
  rig.accept_all(0);
  rig.say(0, "0001");
  CHECK(rig.outcome(first) == "answered 0001");

  rig.lose(0);
  const auto waiting = rig.ask("0002");
  rig.advance_to_due();
  REQUIRE(rig.network[0].address.text() == kA);
  refuse(rig, 0);
  CHECK(rig.outcome(waiting) == "open");  // the standby has not failed
  REQUIRE(rig.network[0].address.text() == kB);
  rig.bring_up(0);
  rig.accept_all(0);
  rig.say(0, "0002");
  CHECK(rig.outcome(waiting) == "answered 0002");

  const auto on_standby = rig.ask("0003");
  rig.accept_all(0);
  rig.advance_to_due();
  REQUIRE(rig.network[1].stage == Stage::connecting);
  CHECK(rig.network[1].address.text() == kA);
  rig.bring_up(1);
  const auto on_primary = rig.ask("0004");
  CHECK(rig.session(1).in_flight.size() == 1);
  rig.accept_all(1);
  rig.say(1, "0004");
  rig.advance_ms(0);
  CHECK(rig.session(0).state == SessionState::draining);
  CHECK(rig.network[0].stage == Stage::up);  // an answer is outstanding
  rig.say(0, "0003");
  rig.advance_ms(0);
  finish_closing(rig);
  CHECK(rig.outcome(on_standby) == "answered 0003");
  CHECK(rig.outcome(on_primary) == "answered 0004");
  CHECK(rig.session(0).state == SessionState::none);
  CHECK(up_at(rig, kA) == 1);
  CHECK(rig.is_clean());
}

TEST_CASE("engine.requests are refused when every endpoint has failed, and not before") {
  MuxRig rig(two_endpoints(1, 1));
  const auto tag = rig.ask("0001");
  refuse(rig, 0);
  CHECK(rig.outcome(tag) == "open");
  refuse(rig, 0);
  CHECK(rig.outcome(tag) == "not_sent connect_refused");
  CHECK(rig.session(0).state == SessionState::backing_off);
  CHECK(rig.outcome(rig.ask("0002")) == "not_sent connect_refused");
  rig.advance_to_due();
  CHECK(rig.outcome(rig.ask("0003")) == "not_sent connect_refused");  // a try is no hope yet
  CHECK(rig.network[0].address.text() == kA);
  rig.bring_up(0);
  CHECK(rig.outcome(rig.ask("0004")) == "open");
}

TEST_CASE("engine.a host that ends each session as soon as it is up is out in favour of the other") {
  MuxRig rig(two_endpoints(1, 1));
  rig.bring_up(0);
  rig.lose(0);
  CHECK(rig.upstream().endpoints[0].is_out());
  CHECK(rig.events.last().retry_in_ms == 100);
  rig.advance_ms(100);
  CHECK(rig.network[0].address.text() == kB);
}

TEST_CASE("engine.round_robin gives each session its turn") {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = 3;
  config.upstreams[0].session_choice = config::SessionChoice::round_robin;
  MuxRig rig(config);
  rig.bring_up_all();
  for (const auto* text : {"0001", "0002", "0003"}) rig.ask(text);
  rig.accept_all(1);
  rig.say(1, "0002");
  rig.ask("0004");
  CHECK(rig.session(0).in_flight.size() == 2);  // although the second has none
  CHECK(rig.session(1).in_flight.empty());
}

TEST_CASE("engine.connections are made as the upstream's tcp settings say") {
  auto config = test::keyed_config();
  config.upstreams[0].tcp = {.source_address = "127.0.0.9",
                             .source_ports = {},
                             .keepalive_idle_s = 7,
                             .keepalive_interval_s = 3,
                             .keepalive_count = 2,
                             .user_timeout_ms = 9000};
  SUBCASE("and an error names the source address") {
    MuxRig rig(config);
    const auto& options = rig.network[0].options;
    REQUIRE(options.source);
    CHECK(options.source->text() == "127.0.0.9:0");
    CHECK(options.keepalive_idle_s == 7);
    CHECK(options.keepalive_interval_s == 3);
    CHECK(options.keepalive_count == 2);
    CHECK(options.user_timeout_ms == 9000);
    rig.connect(0, EADDRNOTAVAIL);
    rig.finish_close(0);
    CHECK(rig.events.last().reason == Reason::connect_failed);
    CHECK(rig.events.last().words.find("source_address 127.0.0.9") != std::string::npos);
  }
  SUBCASE("a host without an address of its kind cannot be reached") {
    config.upstreams[0].endpoints = {{.host = "::1", .port = 1}};
    MuxRig rig(config);
    CHECK(rig.network.dialled().empty());
    CHECK(rig.events.last().reason == Reason::connect_failed);
    CHECK(rig.outcome(rig.ask("0001")) == "not_sent connect_failed");
    CHECK(rig.session(0).state == SessionState::backing_off);
  }
}
