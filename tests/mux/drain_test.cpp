// The engine is told to stop.
#include <doctest/doctest.h>

#include <string>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using engine::mux::EventKind;
using shm::SessionState;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

TEST_CASE("engine.draining refuses what is new and lets what is there go on") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto open = rig.ask("0001");
  rig.accept_all(0);
  rig.mux.drain();
  CHECK(rig.outcome(rig.ask("0002")) == "not_sent engine_draining");
  CHECK(rig.mux.requests_left() == 1);
  rig.say(0, "0001");
  CHECK(rig.outcome(open) == "answered 0001");
  CHECK(rig.mux.requests_left() == 0);
  CHECK_FALSE(rig.mux.is_closed());
}

TEST_CASE("engine.closing says goodbye to a host") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  rig.mux.drain();
  rig.mux.close_sessions();
  REQUIRE(rig.network[0].sending.has_value());
  CHECK(rig.network[0].sending->size() == test::kPlainHeaderBytes);  // close_notify
  CHECK_FALSE(rig.mux.is_closed());
  rig.finish_close(0, test::kPlainHeaderBytes);
  CHECK(rig.mux.is_closed());
  CHECK(rig.events.last().kind == EventKind::session_closed);
  CHECK(rig.session(0).state == SessionState::none);
  rig.advance_ms(100'000);
  CHECK(rig.mux.is_closed());
  CHECK(rig.mux.next_due_ns() == 0);
}

TEST_CASE("engine.closing ends every request") {
  auto config = test::keyed_config();
  config.upstreams[0].in_flight_max = 1;
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  rig.bring_up_all();
  const auto accepted = rig.ask("0001");
  const auto sealed = rig.ask("0002");
  const auto queued = rig.ask("0003");
  rig.accept_all(0);
  rig.mux.drain();
  rig.mux.close_sessions();
  CHECK(rig.outcome(queued) == "not_sent engine_draining");
  rig.finish_close(0);
  CHECK(rig.outcome(accepted) == "maybe_sent engine_draining");
  rig.finish_close(1);
  CHECK(rig.outcome(sealed) == "not_sent engine_draining");
  CHECK(rig.mux.is_closed());
  CHECK(rig.is_clean());
}

TEST_CASE("engine.closing in each state of a session") {
  MuxRig rig(test::keyed_config());
  SUBCASE("connecting") {}
  SUBCASE("handshaking") {
    rig.connect(0);
    rig.step_handshake(0);
  }
  SUBCASE("handshaking, at the worker") { rig.connect(0); }
  SUBCASE("ending by itself") {
    rig.bring_up(0);
    rig.mux.ended(rig.network[0].id, 0);
  }
  SUBCASE("backing off") {
    rig.connect(0, ECONNREFUSED);
    rig.finish_close(0);
  }
  SUBCASE("backing off after having been up") {
    rig.bring_up(0);
    rig.lose(0);
  }
  rig.mux.drain();
  rig.mux.close_sessions();
  if (rig.network[0].stage == Stage::closing) rig.finish_close(0);
  CHECK(rig.mux.is_closed());
  rig.advance_ms(100'000);  // nothing comes up again
  CHECK(rig.mux.is_closed());
  CHECK(rig.network[0].stage == Stage::none);
}

// The host takes no bytes any more, which is why its drain takes so long.
TEST_CASE("engine.an upstream whose patience is over ends what was sealed and not sent, and connects no more") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto accepted = rig.ask("0001");
  rig.accept_all(0);
  const auto sealed = rig.ask("0002");
  const char* reason = "upstream_draining";
  const char* reason_unsent = reason;
  SUBCASE("by command") {
    rig.mux.drain_upstream(0, 1000);
    rig.mux.end_upstream(0);
  }
  SUBCASE("removed") {
    rig.mux.remove_upstream(0);
    while (rig.network[0].stage != Stage::closing) rig.advance_to_due();
    reason = "write_stalled";
    reason_unsent = "upstream_removed";
  }
  rig.finish_close(0);
  CHECK(rig.outcome(accepted) == std::string("maybe_sent ") + reason);
  CHECK(rig.outcome(sealed) == std::string("not_sent ") + reason_unsent);
  CHECK(rig.mux.upstream_is_drained(0));
  rig.advance_ms(100'000);
  CHECK(rig.network[0].stage == Stage::none);
  CHECK(rig.is_clean());
}

TEST_CASE("engine.closing while a name is looked up") {
  auto config = test::keyed_config();
  config.upstreams[0].endpoints = {{.host = "host.example", .port = 1}};
  MuxRig rig(config);
  const auto tag = rig.ask("0001");
  rig.mux.drain();
  rig.mux.close_sessions();
  CHECK(rig.mux.is_closed());
  CHECK(rig.outcome(tag) == "not_sent engine_draining");
  rig.mux.resolved(rig.workers.lookups[0].session, std::vector{*engine::mux::parse_literal("127.0.0.1", 1)});
  CHECK(rig.mux.is_closed());
}

TEST_CASE("engine.a session lost while draining does not come back, and its requests end") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto accepted = rig.ask("0001");
  rig.accept_all(0);
  const auto sealed = rig.ask("0002");
  rig.mux.drain();
  rig.lose(0);
  CHECK(rig.outcome(accepted) == "maybe_sent host_closed");
  CHECK(rig.outcome(sealed) == "not_sent engine_draining");
  CHECK(rig.session(0).state == SessionState::none);
  CHECK(rig.is_clean());
}

TEST_CASE("engine.draining lets a session that is backing off serve what waits for it") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  rig.lose(0);
  const auto tag = rig.ask("0001");
  rig.mux.drain();
  rig.advance_to_due();
  rig.bring_up(0);
  rig.accept_all(0);
  rig.say(0, "0001");
  CHECK(rig.outcome(tag) == "answered 0001");
}
