// Sessions that are replaced in good order.
#include <doctest/doctest.h>

#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using engine::mux::EventKind;
using shm::SessionState;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

config::Config rotating(std::uint32_t sessions, std::uint32_t sessions_max) {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = sessions;
  config.upstreams[0].sessions_max = sessions_max;
  config.upstreams[0].timeouts.session_idle_ms = 10'000'000;
  return config;
}

void answer(MuxRig& rig, std::size_t session) {
  rig.accept_all(session);
  for (const auto& message : rig.heard(session)) rig.say(session, message);
  rig.advance_ms(0);
}

void finish_goodbye(MuxRig& rig, std::size_t session) {
  REQUIRE(rig.network[session].stage == Stage::closing);
  rig.finish_close(session, test::kPlainHeaderBytes);
}

}  // namespace

TEST_CASE("engine.a session whose key is worn out is replaced, and serves until then") {
  MuxRig rig(rotating(1, 2));
  test::TlsScript script;
  test::bring_up_scripted(rig, 0, script);
  rig.ask("0001");
  answer(rig, 0);
  CHECK(rig.starting() == 0);
  script.worn_out = true;
  const auto last = rig.ask("0002");
  REQUIRE(rig.network[1].stage == Stage::connecting);
  rig.bring_up(1);
  CHECK(rig.session(0).state == SessionState::draining);
  answer(rig, 0);
  CHECK(rig.outcome(last) == "answered 0002");
  finish_goodbye(rig, 0);
  CHECK(rig.events.last().kind == EventKind::session_closed);
}

TEST_CASE("engine.a session that has carried messages_max is replaced first where there is room") {
  auto config = rotating(1, 2);
  config.upstreams[0].rotation.messages_max = 2;
  MuxRig rig(config);
  rig.bring_up(0);
  rig.ask("0001");
  answer(rig, 0);
  CHECK(rig.starting() == 0);
  const auto last = rig.ask("0002");
  REQUIRE(rig.network[1].stage == Stage::connecting);
  const auto meanwhile = rig.ask("0003");
  CHECK(rig.session(0).in_flight.size() == 2);  // it serves until the other is up
  rig.bring_up(1);
  CHECK(rig.session(0).state == SessionState::draining);
  const auto later = rig.ask("0004");
  CHECK(rig.session(1).in_flight.size() == 1);
  answer(rig, 0);
  CHECK(rig.outcome(last) == "answered 0002");
  CHECK(rig.outcome(meanwhile) == "answered 0003");
  finish_goodbye(rig, 0);
  CHECK(rig.events.last().kind == EventKind::session_closed);
  CHECK(rig.count(SessionState::ready) == 1);
  CHECK(rig.starting() == 0);
  answer(rig, 1);
  CHECK(rig.outcome(later) == "answered 0004");
}

TEST_CASE("engine.a session that has carried messages_max drains first where there is no room") {
  auto config = rotating(1, 1);
  config.upstreams[0].rotation.messages_max = 2;
  MuxRig rig(config);
  rig.bring_up(0);
  const auto first = rig.ask("0001");
  rig.ask("0003");
  CHECK(rig.session(0).state == SessionState::draining);
  const auto second = rig.ask("0002");  // waits: there is hope
  CHECK(rig.outcome(second) == "open");
  CHECK(rig.starting() == 0);
  answer(rig, 0);
  CHECK(rig.outcome(first) == "answered 0001");
  finish_goodbye(rig, 0);
  std::size_t fresh = 0;
  while (rig.network[fresh].stage != Stage::connecting) ++fresh;
  CHECK(rig.outcome(second) == "open");
  rig.bring_up(fresh);
  answer(rig, fresh);
  CHECK(rig.outcome(second) == "answered 0002");
}

TEST_CASE("engine.old sessions are replaced one at a time") {
  auto config = rotating(3, 4);
  config.upstreams[0].rotation.age_max_s = 1000;
  MuxRig rig(config);
  rig.bring_up_all();
  rig.advance_ms(899'000);
  CHECK(rig.starting() == 0);
  rig.advance_ms(101'000);  // by now all are too old, within the jitter
  for (int replaced = 0; replaced < 3; ++replaced) {
    CHECK(rig.starting() == 1);
    std::size_t fresh = 0;
    while (rig.network[fresh].stage != Stage::connecting) ++fresh;
    rig.bring_up(fresh);
    rig.advance_ms(0);
    CHECK(rig.count(SessionState::draining) == 1);
    CHECK(rig.count(SessionState::ready) == 3);
    std::size_t old = 0;
    while (rig.network[old].stage != Stage::closing) ++old;
    finish_goodbye(rig, old);
  }
  CHECK(rig.starting() == 0);
  CHECK(rig.count(SessionState::ready) == 3);
}

TEST_CASE("engine.a replacement that does not come up leaves the old session in service") {
  auto config = rotating(1, 2);
  config.upstreams[0].rotation.messages_max = 1;
  config.upstreams[0].backoff = {.initial_ms = 100, .max_ms = 1600, .jitter_percent = 0};
  MuxRig rig(config);
  rig.bring_up(0);
  rig.ask("0001");
  answer(rig, 0);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(rig.network[1].stage == Stage::connecting);
    rig.connect(1, ECONNREFUSED);
    rig.finish_close(1);
    CHECK(rig.session(0).is_up());
    rig.ask("000" + std::to_string(i + 2));
    answer(rig, 0);
    rig.advance_to_due();
  }
  SUBCASE("until it does") {
    rig.bring_up(1);
    rig.advance_ms(0);
    finish_goodbye(rig, 0);
    CHECK(rig.session(1).is_up());
  }
  SUBCASE("and takes its place when it is lost") {
    rig.lose(0);
    rig.bring_up(1);
    rig.advance_ms(10'000);
    CHECK(rig.count(SessionState::ready) == 1);
    CHECK(rig.starting() == 0);
  }
}

TEST_CASE("engine.an upstream is replaced session by session before the host's certificate expires") {
  auto config = rotating(1, 2);
  config.upstreams[0].rotation.certificate_margin_s = 800;
  MuxRig rig(config);
  rig.mux.set_wall_clock(1'000'000, 0);
  test::TlsScript script;
  script.facts.certificate_expires_s = 1'000'001 + 5000;  // in 5000 s
  test::bring_up_scripted(rig, 0, script);
  REQUIRE(rig.session(0).is_up());
  rig.advance_ms(4'199'000);
  CHECK(rig.starting() == 0);
  rig.advance_ms(1'000);
  CHECK(rig.starting() == 1);
  // The host still shows the old certificate: asked again after a part of the margin, not at once.
  test::bring_up_scripted(rig, 1, script);
  rig.advance_ms(0);
  finish_goodbye(rig, 0);
  rig.advance_ms(99'000);
  CHECK(rig.starting() == 0);
  rig.advance_ms(1'000);
  CHECK(rig.starting() == 1);
}
