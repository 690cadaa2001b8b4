// Leased sessions while sessions are replaced, upstreams drained, changed and removed, and the engine stops.
#include <doctest/doctest.h>

#include "tests/mux/lease_rig.hpp"

using namespace tlsmux;
using config::FramingKind;
using shm::SessionState;
using test::frame;
using test::lease_config;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

void finish_closing(MuxRig& rig, std::size_t session) {
  rig.mux.flush();
  REQUIRE(rig.network[session].stage == Stage::closing);
  rig.finish_close(session, rig.network[session].sending ? rig.network[session].sending->size() : 0);
  rig.mux.flush();
}

std::shared_ptr<const config::UpstreamSettings> settings_of(const MuxRig& rig) {
  return std::make_shared<const config::UpstreamSettings>(rig.config.upstreams[0]);
}

std::unique_ptr<engine::tls::TlsClient> new_tls_client() { return std::make_unique<test::PlainTlsClient>(); }

}  // namespace

TEST_CASE("stream.an upstream that drains refuses streams that wait, and leaves others their sessions") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto holder = rig.lease();
  const auto waiting = rig.lease();
  rig.mux.drain_upstream(0, 5'000);
  rig.mux.flush();
  CHECK(rig.state(waiting) == "refused upstream_draining");
  CHECK(rig.state(rig.lease()) == "refused upstream_draining");
  CHECK(rig.mux.requests_left(0) == 1);
  rig.write(holder, frame("question"));
  rig.accept_all(0);
  rig.say(0, "answer");
  CHECK(rig.holders[holder].received == frame("answer"));
  SUBCASE("until they close") {
    rig.advance_ms(4'999);
    CHECK(rig.state(holder) == "open");
    CHECK_FALSE(rig.mux.upstream_is_drained(0));
    rig.give_back(holder);
    finish_closing(rig, 0);
    CHECK(rig.mux.upstream_is_drained(0));
    rig.mux.resume_upstream(0);
    rig.bring_up_all();
    const auto next = rig.lease();
    CHECK(rig.state(next) == "open");
    rig.give_back(next);
  }
  SUBCASE("or its patience is over") {
    rig.advance_ms(5'000);
    finish_closing(rig, 0);
    CHECK(rig.state(holder) == "lost upstream_draining");
    CHECK(rig.holders[holder].words.find("a stream still had the session") != std::string::npos);
    CHECK(rig.mux.upstream_is_drained(0));
    rig.give_back(holder);
  }
  SUBCASE("or somebody ends it") {
    rig.write(holder, frame("another"));
    rig.accept_all(0);
    rig.mux.end_upstream(0);
    finish_closing(rig, 0);
    CHECK(rig.state(holder) == "maybe_sent upstream_draining");
  }
  CHECK(rig.mux.requests_left() == 0);
}

TEST_CASE("stream.an engine that drains waits for streams, and then ends them") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto holder = rig.lease();
  const auto waiting = rig.lease();
  rig.mux.drain();
  rig.mux.flush();
  CHECK(rig.state(waiting) == "refused engine_draining");
  CHECK(rig.state(rig.lease()) == "refused engine_draining");
  CHECK(rig.mux.requests_left() == 1);
  CHECK(rig.state(holder) == "open");
  SUBCASE("that close in time") {
    rig.give_back(holder);
    CHECK(rig.mux.requests_left() == 0);
    rig.mux.close_sessions();
    finish_closing(rig, 0);
  }
  SUBCASE("that do not") {
    rig.mux.close_sessions();
    finish_closing(rig, 0);
    CHECK(rig.state(holder) == "lost engine_draining");
  }
  CHECK(rig.mux.is_closed());
}

TEST_CASE("stream.of an upstream that is removed streams keep their sessions until they close") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto holder = rig.lease();
  const auto waiting = rig.lease();
  rig.mux.remove_upstream(0);
  rig.mux.flush();
  CHECK(rig.state(waiting) == "refused upstream_removed");
  CHECK(rig.state(rig.lease()) == "refused upstream_removed");
  CHECK(rig.write(holder, "x") == 1);
  rig.give_back(holder);
  rig.accept_all(0);
  finish_closing(rig, 0);
  CHECK(rig.count(SessionState::none) == rig.network.size());
}

TEST_CASE("stream.a group that is shut out gets no session any more") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto holder = rig.lease();
  const auto waiting = rig.lease();
  rig.mux.shut_out_groups(0, {true});
  rig.mux.flush();
  CHECK(rig.state(waiting) == "refused upstream_removed");
  CHECK(rig.state(holder) == "open");
}

TEST_CASE("stream.a session that is to be replaced is not leased again") {
  MuxRig rig(lease_config(1, 2));
  rig.bring_up_all();
  const auto holder = rig.lease();
  rig.mux.change_upstream(0, settings_of(rig), nullptr, true);
  rig.mux.flush();
  REQUIRE(rig.starting() == 1);  // first its replacement, since there is room
  rig.bring_up_all();
  rig.mux.flush();
  CHECK(rig.session(0).state == SessionState::draining);
  CHECK(rig.state(holder) == "open");
  rig.give_back(holder);
  finish_closing(rig, 0);
  const auto next = rig.lease();
  CHECK(rig.session_of(next) == 1);
}

TEST_CASE("stream.a session that its stream gives back with outdated settings ends at once") {
  MuxRig rig(lease_config(2));
  rig.bring_up_all();
  const auto first = rig.lease();
  const auto second = rig.lease();
  rig.mux.change_upstream(0, settings_of(rig), nullptr, true);
  rig.mux.flush();
  CHECK(rig.count(SessionState::draining) == 1);  // one at a time
  CHECK(rig.count(SessionState::ready) == 1);
  for (const auto stream : {first, second}) {
    CHECK(rig.state(stream) == "open");
    rig.give_back(stream);
  }
  finish_closing(rig, 0);
  finish_closing(rig, 1);
  rig.bring_up_all();
  CHECK(rig.count(SessionState::ready) == 2);
}

TEST_CASE("stream.a session that has carried messages_max streams serves the last one to its end") {
  auto config = lease_config(1);
  config.upstreams[0].rotation.messages_max = 2;
  MuxRig rig(config);
  rig.bring_up_all();
  rig.give_back(rig.lease());
  REQUIRE(rig.session(0).is_up());
  const auto last = rig.lease();
  REQUIRE(rig.state(last) == "open");
  const auto next = rig.lease(0, 1'000'000);
  rig.advance_ms(100'000);
  CHECK(rig.session(0).is_up());
  rig.give_back(last);
  finish_closing(rig, 0);
  rig.bring_up_all();
  CHECK(rig.state(next) == "open");
}

TEST_CASE("stream.an upstream that starts anew may lease its sessions from then on, or no more") {
  auto config = test::fifo_config();
  MuxRig rig(config);
  rig.bring_up_all();
  CHECK(rig.outcome(rig.ask("one")) == "open");
  rig.accept_all(0);
  rig.say(0, "answer");
  rig.heard(0);

  rig.config.upstreams[0].framing.kind = FramingKind::none;
  rig.mux.restart_upstream(0, settings_of(rig), new_tls_client());
  finish_closing(rig, 0);
  rig.advance_ms(0);
  rig.bring_up_all();
  const auto stream = rig.lease();
  REQUIRE(rig.state(stream) == "open");
  rig.write(stream, "no frame");
  rig.accept_all(0);
  CHECK(rig.heard_raw(0) == "no frame");
  CHECK(rig.outcome(rig.ask("two")) == "not_sent upstream_removed");

  rig.config.upstreams[0].framing.kind = FramingKind::length;
  rig.mux.restart_upstream(0, settings_of(rig), new_tls_client());
  rig.give_back(stream);
  finish_closing(rig, 0);
  rig.advance_ms(0);
  rig.bring_up_all();
  CHECK(rig.outcome(rig.ask("three")) == "open");
}

TEST_CASE("stream.fewer sessions are wanted: those that no stream has end first") {
  MuxRig rig(lease_config(2));
  rig.bring_up_all();
  const auto holder = rig.lease();
  const auto kept = rig.session_of(holder);
  rig.config.upstreams[0].sessions = 1;
  rig.mux.change_upstream(0, settings_of(rig), nullptr, false);
  finish_closing(rig, 1 - kept);
  CHECK(rig.state(holder) == "open");
  CHECK(rig.session(kept).is_up());
}

TEST_CASE("stream.heartbeats are for sessions that no stream has") {
  auto config = lease_config(1);
  config.upstreams[0].heartbeat.idle_ms = 1'000;
  config.upstreams[0].heartbeat.keep_alive = true;
  config.upstreams[0].streams.idle_max_ms = 0;
  MuxRig rig(config);
  rig.bring_up_all();
  rig.advance_ms(1'000);
  rig.accept_all(0);
  CHECK(rig.heard_raw(0) == std::string(2, '\0'));
  const auto stream = rig.lease();
  CHECK(rig.state(stream) == "waits");  // its echo is still to come
  test::say_text(rig, 0, std::string(2, '\0'));
  rig.mux.flush();
  REQUIRE(rig.state(stream) == "open");
  CHECK(rig.holders[stream].received.empty());
  rig.advance_ms(5'000);
  rig.accept_all(0);
  CHECK(rig.heard_raw(0).empty());
  rig.give_back(stream);
  rig.advance_ms(1'000);
  rig.accept_all(0);
  CHECK(rig.heard_raw(0) == std::string(2, '\0'));
  CHECK(rig.session(0).is_up());
}

TEST_CASE("stream.the time for which a host keeps idle connections is heeded") {
  auto config = lease_config(1, 0, FramingKind::http1);
  config.upstreams[0].streams.idle_max_ms = 60'000;
  MuxRig rig(config);
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.write(stream, "GET / HTTP/1.1\r\nHost: host.example\r\n\r\n");
  rig.accept_all(0);
  test::say_text(rig, 0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nok");
  rig.give_back(stream);
  REQUIRE(rig.session(0).is_up());
  rig.advance_ms(3'999);
  CHECK(rig.session(0).is_up());
  rig.advance_ms(1);
  CHECK_FALSE(rig.session(0).is_up());
}
