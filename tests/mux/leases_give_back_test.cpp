// When a stream closes: which sessions another stream may have.
#include <doctest/doctest.h>

#include "tests/mux/lease_rig.hpp"

using namespace tlsmux;
using config::FramingKind;
using config::StreamReuse;
using test::frame;
using test::lease_config;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

struct Case {
  const char* what;
  FramingKind framing;
  StreamReuse reuse;
  std::vector<std::string> passed;  // in turns: to the host, from the host
  bool may_be_anothers;
};

const std::string kQuestion = frame("question");
const std::string kAnswer = frame("answer");

std::string half(const std::string& bytes) { return bytes.substr(0, bytes.size() / 2); }

std::string get(const std::string& fields = {}) { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; }
std::string ok(const std::string& fields = {}) { return "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + fields + "\r\nx"; }

std::vector<Case> cases() {
  using enum FramingKind;
  using enum StreamReuse;
  return {
      {"nothing", length, at_boundary, {}, true},
      {"question and answer", length, at_boundary, {kQuestion, kAnswer}, true},
      {"in pieces",
       length,
       at_boundary,
       {half(kQuestion), "", kQuestion.substr(half(kQuestion).size()), kAnswer},
       true},
      {"two and two", length, at_boundary, {kQuestion + kQuestion, kAnswer + kAnswer}, true},
      {"no answer yet", length, at_boundary, {kQuestion}, false},
      {"half a question", length, at_boundary, {half(kQuestion)}, false},
      {"half a length", length, at_boundary, {kQuestion.substr(0, 1)}, false},
      {"half an answer", length, at_boundary, {kQuestion, half(kAnswer)}, false},
      {"half a second question", length, at_boundary, {kQuestion, kAnswer, half(kQuestion)}, false},
      {"one of two answers", length, at_boundary, {kQuestion + kQuestion, kAnswer}, false},
      {"an answer to nothing", length, at_boundary, {"", kAnswer}, false},
      {"one answer too many", length, at_boundary, {kQuestion, kAnswer + kAnswer}, false},
      {"not a frame", length, at_boundary, {"\xff\xff too long"}, false},
      {"no boundaries: nothing", none, at_boundary, {}, true},
      {"no boundaries: to the host", none, at_boundary, {"x"}, false},
      {"no boundaries: from the host", none, at_boundary, {"", "x"}, false},
      {"no boundaries: both", none, at_boundary, {"x", "y"}, false},
      {"nobody minds", none, always, {"x", "y"}, true},
      {"nobody minds, and the host has the last word", none, always, {"x", "y", "", "z"}, true},
      {"nobody minds, where hosts never answer", none, always, {"x"}, true},
      {"nobody minds, but an answer may be due", none, always, {"x", "y", "z"}, false},
      {"nobody minds a question that no host answers", length, always, {kQuestion}, true},
      {"nobody minds answers to nothing", length, always, {"", kAnswer}, true},
      {"nobody minds, but an answer is due", length, always, {kQuestion, kAnswer, kQuestion}, false},
      {"nobody minds, but one of two answers is due", length, always, {kQuestion + kQuestion, kAnswer}, false},
      {"nobody minds, but half a question", length, always, {half(kQuestion)}, false},
      {"nobody minds, but half an answer", length, always, {kQuestion, half(kAnswer)}, false},
      {"nobody minds, and the connection goes on", http1, always, {get(), ok()}, true},
      {"nobody minds a body that means nothing", http1, always, {get("Content-Length: 1\r\n") + "x", ok()}, true},
      {"nobody minds, but the host ends it", http1, always, {get(), ok("Connection: close\r\n")}, false},
      {"nobody minds, but the request ends it", http1, always, {get("Connection: close\r\n"), ok()}, false},
      {"nobody minds, but the unanswered request ends it", http1, always, {get("Connection: close\r\n")}, false},
      {"nobody minds, but the host says that it ends in what is not understood",
       http1,
       always,
       {get(), ok("Connection: close\r\nTransfer-Encoding: gzip, chunked\r\n")},
       false},
      {"nobody minds, but garbage follows", http1, always, {get(), ok() + "garbage"}, false},
      {"nobody minds, but another protocol is spoken",
       http1,
       always,
       {"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"},
       false},
      {"nobody minds, but HTTP is answered", http1, always, {get()}, false},
      {"never, nothing", length, never, {}, false},
      {"never, question and answer", length, never, {kQuestion, kAnswer}, false},
  };
}

}  // namespace

TEST_CASE("stream.a session goes back to the pool if it is clean, and is closed if it is not") {
  for (const auto& one : cases()) {
    CAPTURE(one.what);
    auto config = lease_config(1, 0, one.framing);
    config.upstreams[0].streams.reuse = one.reuse;
    MuxRig rig(config);
    rig.bring_up_all();
    const auto stream = rig.lease();
    std::string expected;
    for (std::size_t i = 0; i < one.passed.size(); ++i) {
      const auto& bytes = one.passed[i];
      if (i % 2 == 1) {
        if (!bytes.empty()) test::say_text(rig, 0, bytes);
        expected += bytes;
      } else {
        REQUIRE(rig.write(stream, bytes) == bytes.size());
        rig.accept_all(0);
        REQUIRE(rig.heard_raw(0) == bytes);
      }
    }
    REQUIRE(rig.holders[stream].received == expected);
    rig.give_back(stream);
    CHECK_FALSE(rig.session(0).is_leased());
    CHECK(rig.session(0).is_up() == one.may_be_anothers);
    CHECK((rig.network[0].stage == Stage::up) == one.may_be_anothers);
    const auto next = rig.lease();
    if (one.may_be_anothers) {
      REQUIRE(rig.state(next) == "open");
      REQUIRE(rig.session_of(next) == 0);
      CHECK(rig.network.dialled().size() == 1);
      continue;
    }
    REQUIRE(rig.state(next) == "waits");
    rig.finish_close(0, rig.network[0].sending->size());
    REQUIRE(rig.was_told_goodbye(0));
    rig.mux.flush();
    rig.bring_up_all();
    CHECK(rig.state(next) == "open");
    CHECK(rig.holders[next].received.empty());
    CHECK(rig.upstream().last_error.empty());
  }
}

TEST_CASE("stream.a stream that has not read all takes its session with it where nobody can know what is left") {
  for (const auto framing : {FramingKind::none, FramingKind::length}) {
    CAPTURE(static_cast<int>(framing));
    auto config = lease_config(1, 0, framing);
    config.upstreams[0].streams.reuse = StreamReuse::always;
    MuxRig rig(config);
    rig.bring_up_all();
    const auto first = rig.lease();
    rig.write(first, kQuestion);
    rig.accept_all(0);
    test::say_text(rig, 0, kAnswer);
    rig.give_back(first);
    rig.mux.leases().give_back(rig.lease(), false);  // there was nothing to read
    REQUIRE(rig.session(0).is_up());
    const auto stream = rig.lease();
    rig.write(stream, kQuestion);
    rig.accept_all(0);
    test::say_text(rig, 0, kAnswer);
    rig.mux.leases().give_back(stream, false);
    rig.mux.flush();
    CHECK(rig.session(0).is_up() == (framing == FramingKind::length));
  }
}

TEST_CASE("stream.a host that answers when the stream has gone is one that answers") {
  auto config = lease_config(1);
  config.upstreams[0].streams.reuse = StreamReuse::always;
  MuxRig rig(config);
  rig.bring_up_all();
  const auto ask_and_go = [&] {
    const auto stream = rig.lease();
    REQUIRE(rig.state(stream) == "open");
    rig.write(stream, kQuestion);
    rig.accept_all(0);
    rig.give_back(stream);
  };
  ask_and_go();
  REQUIRE(rig.session(0).is_up());
  test::say_text(rig, 0, kAnswer);
  rig.finish_close(0, rig.network[0].sending->size());
  rig.mux.flush();
  rig.bring_up_all();
  ask_and_go();
  CHECK_FALSE(rig.session(0).is_up());
}

TEST_CASE("stream.a session that was given back by one rule for its reuse is nobody's by a stricter one") {
  struct Change {
    StreamReuse before, after;
    bool stays;
  };
  using enum StreamReuse;
  const Change changes[] = {{always, at_boundary, false},
                            {always, never, false},
                            {at_boundary, never, false},
                            {at_boundary, always, true},
                            {always, always, true}};
  for (const auto& change : changes) {
    for (const bool is_leased : {false, true}) {
      CAPTURE(static_cast<int>(change.before));
      CAPTURE(static_cast<int>(change.after));
      CAPTURE(is_leased);
      auto config = lease_config(2);
      config.upstreams[0].streams.reuse = change.before;
      MuxRig rig(config);
      rig.bring_up_all();
      const auto first = rig.lease();
      const auto used = rig.session_of(first);
      rig.give_back(first);
      const auto second = is_leased ? rig.lease() : first;
      if (is_leased) REQUIRE(rig.session_of(second) == used);
      auto settings = std::make_shared<config::UpstreamSettings>(config.upstreams[0]);
      settings->streams.reuse = change.after;
      rig.mux.change_upstream(0, settings, nullptr, false);
      rig.mux.flush();
      if (is_leased) {
        CHECK(rig.session(used).is_up());
        CHECK(rig.state(second) == "open");
        rig.give_back(second);
      }
      CHECK(rig.session(used).is_up() == change.stays);
      CHECK(rig.session(1 - used).is_up());  // nobody has had it
    }
  }
}

TEST_CASE("stream.after a stream that nobody minds, the next one is judged by its own bytes") {
  auto config = lease_config(1);
  config.upstreams[0].streams.reuse = StreamReuse::always;
  MuxRig rig(config);
  rig.bring_up_all();
  const auto first = rig.lease();
  rig.write(first, kQuestion);
  rig.accept_all(0);
  rig.give_back(first);
  const auto second = rig.lease();
  REQUIRE(rig.state(second) == "open");
  CHECK(rig.session(0).lease.boundary->is_clean());
  rig.lose(0);
  CHECK(rig.state(second) == "lost host_closed");  // not a byte of it was sent
}

TEST_CASE("stream.what was written before the stream closed is still sent, then the session ends") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.write(stream, "the last");
  rig.write(stream, " words");
  rig.give_back(stream);
  CHECK(rig.network[0].stage == Stage::up);
  CHECK(rig.state(rig.lease()) == "waits");
  test::say_text(rig, 0, "nobody hears this");
  CHECK(rig.network[0].stage == Stage::up);
  rig.accept_all(0);
  rig.mux.flush();
  REQUIRE(rig.network[0].stage == Stage::closing);
  CHECK(rig.heard_raw(0) == "the last words");
}

TEST_CASE("stream.what is clean but not yet sent keeps the session from the next stream until it is") {
  auto config = lease_config(1);
  config.upstreams[0].streams.reuse = StreamReuse::always;
  MuxRig rig(config);
  rig.bring_up_all();
  const auto first = rig.lease();
  rig.write(first, kQuestion);
  rig.give_back(first);
  const auto second = rig.lease();
  CHECK(rig.state(second) == "waits");
  rig.accept_all(0);
  rig.mux.flush();
  CHECK(rig.state(second) == "open");
}

namespace {

enum class Farewell : std::uint8_t { close_notify, close, reset, message };

void say_farewell(MuxRig& rig, std::size_t session, Farewell farewell) {
  switch (farewell) {
    case Farewell::close_notify: rig.say_close_notify(session); break;
    case Farewell::close: rig.mux.ended(rig.network[session].id, 0); break;
    case Farewell::reset: rig.mux.ended(rig.network[session].id, ECONNRESET); break;
    case Farewell::message: rig.say(session, "enough"); break;  // as some say why they close
  }
  REQUIRE(rig.network[session].stage == Stage::closing);
  rig.finish_close(session);
  rig.mux.flush();
}

constexpr Farewell kFarewells[] = {Farewell::close_notify, Farewell::close, Farewell::reset, Farewell::message};

}  // namespace

TEST_CASE("stream.a host that closes a session in the pool does no wrong, and no more are made than are kept up") {
  for (const auto farewell : kFarewells) {
    CAPTURE(static_cast<int>(farewell));
    MuxRig rig(lease_config(1, 2));
    rig.bring_up_all();
    const auto first = rig.lease();
    const auto second = rig.lease();
    rig.bring_up_all();
    rig.advance_ms(1'000);
    rig.give_back(first);
    rig.give_back(second);
    REQUIRE(rig.count(shm::SessionState::ready) == 2);
    say_farewell(rig, 1, farewell);
    CHECK(rig.starting() == 0);
    say_farewell(rig, 0, farewell);
    CHECK(rig.starting() == 1);  // at once
    CHECK(rig.upstream().last_error.empty());
    CHECK(rig.events.count(engine::mux::EventKind::session_closed) == 2);
    CHECK(rig.events.count(engine::mux::EventKind::session_lost) == 0);
    CHECK_FALSE(rig.upstream().endpoints[0].is_out());
  }
}

TEST_CASE("stream.a host that closes each session as soon as it is up gets pauses that grow") {
  for (const auto farewell : kFarewells) {
    CAPTURE(static_cast<int>(farewell));
    MuxRig rig(lease_config(1));
    rig.bring_up_all();
    for (const std::uint64_t pause_ms : {100, 200, 400}) {
      say_farewell(rig, 0, farewell);
      CHECK(rig.starting() == 0);
      rig.advance_ms(pause_ms - 1);
      CHECK(rig.starting() == 0);
      rig.advance_ms(1);
      REQUIRE(rig.starting() == 1);
      rig.bring_up_all();
    }
    CHECK_FALSE(rig.upstream().last_error.empty());
  }
}
