// How many sessions there are, and when one starts or ends.
#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using engine::mux::EventKind;
using shm::Reason;
using shm::SessionState;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

config::Config pool_config(std::uint32_t sessions, std::uint32_t sessions_max = 0) {
  auto config = test::keyed_config();
  config.engine.in_flight_max = 500;
  auto& upstream = config.upstreams[0];
  upstream.sessions = sessions;
  upstream.sessions_max = sessions_max;
  upstream.backoff = {.initial_ms = 100, .max_ms = 1600, .jitter_percent = 0};
  return config;
}

std::string key(std::size_t number) { return std::to_string(10'000 + number).substr(1); }

void refuse_all(MuxRig& rig) {
  for (std::size_t i = 0; i < rig.network.size(); ++i) {
    if (rig.network[i].stage != Stage::connecting) continue;
    rig.connect(i, ECONNREFUSED);
    rig.finish_close(i);
  }
}

// Hosts answer all that has been sent.
void answer_all(MuxRig& rig) {
  for (std::size_t i = 0; i < rig.network.size(); ++i) {
    if (rig.network[i].stage != Stage::up) continue;
    rig.accept_all(i);
    for (const auto& message : rig.heard(i)) rig.say(i, message);
  }
}

void finish_closing(MuxRig& rig) {
  for (std::size_t i = 0; i < rig.network.size(); ++i) {
    if (rig.network[i].stage == Stage::closing)
      rig.finish_close(i, rig.network[i].sending ? test::kPlainHeaderBytes : 0);
  }
}

}  // namespace

TEST_CASE("engine.no more than handshakes_max sessions come up at one time") {
  auto config = pool_config(5);
  config.upstreams[0].handshakes_max = 2;
  MuxRig rig(config);
  CHECK(rig.starting() == 2);
  CHECK(rig.network.dialled().size() == 2);
  rig.bring_up(0);
  CHECK(rig.starting() == 2);
  rig.bring_up_all();
  CHECK(rig.count(SessionState::ready) == 5);
  CHECK(rig.network.dialled().size() == 5);
}

TEST_CASE("engine.a host that restarts meets no storm, and is in service at the next step of the back-off") {
  auto config = pool_config(8);
  config.upstreams[0].handshakes_max = 2;
  config.upstreams[0].in_flight_max = 4;
  MuxRig rig(config);
  rig.bring_up_all();
  std::vector<std::uint64_t> tags;
  for (std::uint32_t client = 0; client < 64; ++client) tags.push_back(rig.submit_as(client, 0, key(client)));
  rig.mux.flush();
  for (std::size_t i = 0; i < 8; ++i) rig.accept_all(i);
  CHECK(rig.upstream().queue.size() == 32);
  for (std::size_t i = 0; i < 8; ++i) rig.lose(i, ECONNRESET);
  for (std::size_t i = 0; i < 32; ++i) CHECK(rig.outcome(tags[i]) == "maybe_sent connection_lost");
  const auto lost_ns = rig.now_ns;
  std::size_t most = 0;
  const auto come_back = [&] {
    while (rig.count(SessionState::ready) < 8) {
      if (rig.starting() == 0) rig.advance_to_due();
      most = std::max(most, rig.starting());
      for (std::size_t i = 0; i < 8; ++i) {
        if (rig.network[i].stage == Stage::connecting) rig.bring_up(i);
        most = std::max(most, rig.starting());
      }
    }
  };
  SUBCASE("it is back before anybody looks: nothing that waited is lost") {
    come_back();
    answer_all(rig);
    rig.mux.flush();
    answer_all(rig);
    for (std::size_t i = 32; i < 64; ++i) CHECK(rig.outcome(tags[i]) == "answered " + key(i));
    CHECK(rig.now_ns - lost_ns == 100'000'000);
  }
  SUBCASE("it is gone for a while: who waits is told at once, and one session asks for it") {
    rig.advance_to_due();
    most = rig.starting();
    refuse_all(rig);
    for (std::size_t i = 32; i < 64; ++i) CHECK(rig.outcome(tags[i]) == "not_sent connect_refused");
    for (int step = 0; step < 4; ++step) {
      CHECK(rig.starting() == 0);
      rig.advance_to_due();
      CHECK(rig.starting() == 1);
      refuse_all(rig);
    }
    come_back();
    MESSAGE("in service " << (rig.now_ns - lost_ns) / 1'000'000 << " ms after the loss");
    CHECK(rig.outcome(rig.ask("9999")) == "open");
  }
  CHECK(most == 2);
}

TEST_CASE("engine.sessions are added while requests wait and all are busy, up to sessions_max") {
  auto config = pool_config(1, 3);
  config.upstreams[0].in_flight_max = 4;
  MuxRig rig(config);
  rig.bring_up_all();
  for (std::size_t i = 0; i < 4; ++i) rig.ask(key(i));
  CHECK(rig.starting() == 0);  // all found room
  rig.ask(key(4));
  CHECK(rig.starting() == 1);
  rig.ask(key(5));
  CHECK(rig.starting() == 1);  // one at a time
  rig.bring_up(1);
  CHECK(rig.session(1).in_flight.size() == 2);
  CHECK(rig.session(1).is_extra);
  for (std::size_t i = 6; i < 20; ++i) rig.ask(key(i));
  rig.bring_up(2);
  for (std::size_t i = 20; i < 30; ++i) rig.ask(key(i));
  CHECK(rig.count(SessionState::ready) == 3);
  CHECK(rig.starting() == 0);
  CHECK(rig.upstream().wanted == 3);

  SUBCASE("and end after session_idle_ms without a request, while little is asked") {
    for (int round = 0; round < 10; ++round) {
      answer_all(rig);
      rig.mux.flush();
    }
    CHECK(rig.is_clean());
    const auto idle_ms = config.upstreams[0].timeouts.session_idle_ms;
    for (int i = 0; i < 3; ++i) {
      rig.advance_ms(idle_ms / 3);
      rig.ask(key(100));  // found in one session's room
      answer_all(rig);
    }
    rig.advance_ms(1);
    CHECK(rig.count(SessionState::draining) == 2);
    finish_closing(rig);
    CHECK(rig.count(SessionState::ready) == 1);
    CHECK(rig.upstream().wanted == 1);
    CHECK(rig.events.last().kind == EventKind::session_closed);
    rig.advance_ms(10 * idle_ms);
    CHECK(rig.session(0).is_up());
    CHECK(rig.mux.next_due_ns() == 0);
  }
  SUBCASE("and stay while they are needed") {
    rig.advance_ms(1000);
    CHECK(rig.count(SessionState::ready) == 3);
  }
}

TEST_CASE("engine.a drained upstream ends what it has, then its sessions, until it is resumed") {
  auto config = pool_config(2);
  config.upstreams[0].in_flight_max = 1;
  MuxRig rig(config);
  rig.bring_up_all();
  std::vector<std::uint64_t> tags;
  for (std::size_t i = 0; i < 4; ++i) tags.push_back(rig.ask(key(i)));
  rig.mux.drain_upstream(0);
  CHECK(rig.outcome(rig.ask(key(9))) == "not_sent upstream_draining");
  CHECK(rig.count(SessionState::ready) == 2);
  CHECK_FALSE(rig.mux.upstream_is_drained(0));
  answer_all(rig);  // the two that waited go out
  rig.mux.flush();
  CHECK(rig.count(SessionState::draining) == 2);
  answer_all(rig);
  rig.advance_ms(0);
  finish_closing(rig);
  for (std::size_t i = 0; i < 4; ++i) CHECK(rig.outcome(tags[i]) == "answered " + key(i));
  CHECK(rig.mux.upstream_is_drained(0));
  rig.advance_ms(100'000);
  CHECK(rig.mux.upstream_is_drained(0));
  rig.mux.resume_upstream(0);
  CHECK_FALSE(rig.mux.upstream_is_drained(0));
  rig.bring_up_all();
  CHECK(rig.count(SessionState::ready) == 2);
  CHECK(rig.outcome(rig.ask(key(10))) == "open");
}

TEST_CASE("engine.draining an upstream whose sessions are not up") {
  MuxRig rig(pool_config(2));
  SUBCASE("connecting") {}
  SUBCASE("handshaking") {
    rig.connect(0);
    rig.step_handshake(0);
  }
  SUBCASE("backing off") { refuse_all(rig); }
  rig.mux.drain_upstream(0);
  finish_closing(rig);
  CHECK(rig.mux.upstream_is_drained(0));
  rig.mux.resume_upstream(0);
  CHECK(rig.starting() == 2);
}

TEST_CASE("engine.an answer outstanding for longer than drain_ms is given up with the session") {
  MuxRig rig(pool_config(1));
  rig.bring_up(0);
  const auto tag = rig.ask("0001", 100'000);
  rig.accept_all(0);
  rig.mux.drain_upstream(0);
  const auto drain_ms = rig.config.upstreams[0].timeouts.drain_ms;
  rig.advance_ms(drain_ms - 1);
  CHECK(rig.session(0).state == SessionState::draining);
  CHECK(rig.outcome(tag) == "open");
  SUBCASE("it comes at the last moment") {
    rig.say(0, "0001");
    CHECK(rig.outcome(tag) == "answered 0001");
    rig.advance_ms(0);
  }
  SUBCASE("it does not come") { rig.advance_ms(1); }
  SUBCASE("the host ends the session first") { rig.mux.ended(rig.network[0].id, 0); }
  const bool was_answered = rig.outcome(tag) == "answered 0001";
  const bool was_lost = !rig.session(0).orderly;
  REQUIRE(rig.network[0].stage == Stage::closing);
  finish_closing(rig);
  if (!was_answered) CHECK(rig.outcome(tag) == (was_lost ? "maybe_sent host_closed" : "maybe_sent upstream_draining"));
  CHECK(rig.mux.upstream_is_drained(0));
  CHECK(rig.is_clean());
}
