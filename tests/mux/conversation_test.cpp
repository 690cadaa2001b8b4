// What the engine itself says to hosts: sign-on, heartbeat, sign-off, answers that need no application.
#include <doctest/doctest.h>

#include "config/iso8583/iso8583_specs.hpp"
#include "engine/message/iso8583/auto_reply.hpp"
#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using engine::mux::EventKind;
using shm::Reason;
using shm::SessionState;
using test::MuxRig;

namespace {

constexpr std::uint32_t kSignOnMs = 1000;

config::MessageSettings message(const char* function, std::map<std::uint32_t, std::string> expect = {{39, "00"}}) {
  return {.mti = "0800",
          .fields = {{7, "{date_time}"}, {11, "{trace_number}"}, {41, "TERM0001"}, {70, function}},
          .expect = std::move(expect)};
}

config::Config iso8583_config(std::uint32_t sessions = 1) {
  auto config = test::keyed_config();
  auto& upstream = config.upstreams[0];
  upstream.sessions = sessions;
  upstream.handshakes_max = sessions;
  upstream.framing.message_bytes_max = 1000;
  upstream.correlation = {.kind = config::CorrelationKind::iso8583};
  upstream.correlation.iso8583.spec = "1987_ascii";
  upstream.timeouts.sign_on_ms = kSignOnMs;
  upstream.backoff = {.initial_ms = 100, .max_ms = 1600, .jitter_percent = 0};
  return config;
}

config::Config loaded(config::Config config) {
  const auto no_files = [](const std::string&) { return std::unexpected(std::string("is not there")); };
  REQUIRE(config::load_iso8583_specs(config, no_files).empty());
  return config;
}

config::Config sign_on_config(std::uint32_t sessions = 1) {
  auto config = iso8583_config(sessions);
  config.upstreams[0].sign_on.messages = {message("001")};
  return config;
}

config::Config heartbeat_config() {
  auto config = iso8583_config();
  config.upstreams[0].heartbeat = {.idle_ms = 500, .answer_ms = 200, .misses_max = 2, .message = message("301")};
  return config;
}

// The host's answer with that response code.
std::string answer_to(const MuxRig& rig, std::string_view request, const std::string& code = "00") {
  const engine::message::iso8583::AutoReply reply(rig.config.upstreams[0].correlation.iso8583,
                                                  {.mti = "0800", .match = {}, .set = {{39, code}}});
  std::string answer(1000, '\0');
  const auto length =
      reply.reply(std::as_bytes(std::span(request)), std::as_writable_bytes(std::span(answer.data(), answer.size())));
  REQUIRE(length.has_value());
  return answer.substr(0, *length);
}

// Fields 11 and 41.
std::string purchase(const std::string& trace_number) { return "02000020000000800000" + trace_number + "TERM0001"; }
std::string purchase_answer(const std::string& trace_number) {
  return "02100020000000800000" + trace_number + "TERM0001";
}

// What the host has heard, once all was sent that can be.
std::vector<std::string> hear(MuxRig& rig, std::size_t session = 0) {
  rig.advance_ns(0);
  while (rig.network[session].sending) rig.accept_all(session);
  return rig.heard(session);
}

void sign_on(MuxRig& rig, std::size_t session = 0) {
  rig.bring_up(session);
  const auto heard = hear(rig, session);
  REQUIRE(heard.size() == 1);
  rig.say(session, answer_to(rig, heard[0]));
  REQUIRE(rig.session(session).is_up());
}

}  // namespace

TEST_CASE("engine.a session is ready once the host has agreed to its sign-on") {
  MuxRig rig(loaded(sign_on_config()));
  rig.mux.set_wall_clock(1'700'000'000 - 1, 0);  // 2023-11-14 22:13:20 UTC, at the rig's first second
  rig.bring_up(0);
  CHECK(rig.session(0).state == SessionState::signing_on);
  const auto tag = rig.ask(purchase("000077"));
  const auto heard = hear(rig);
  REQUIRE(heard.size() == 1);  // the request waits
  CHECK(heard[0].starts_with("0800"));
  CHECK(heard[0].contains("1114221320"));
  CHECK(heard[0].ends_with("001"));

  rig.say(0, answer_to(rig, heard[0]));
  CHECK(rig.session(0).is_up());
  CHECK(hear(rig) == std::vector<std::string>{purchase("000077")});
  rig.say(0, purchase_answer("000077"));
  CHECK(rig.outcome(tag) == "answered " + purchase_answer("000077"));
  CHECK(rig.is_clean());
}

TEST_CASE("engine.a refused sign-on: no session, a reason, and no value in its words") {
  MuxRig rig(loaded(sign_on_config()));
  rig.bring_up(0);
  const auto tag = rig.ask(purchase("000077"));
  rig.say(0, answer_to(rig, hear(rig).at(0), "05"));
  rig.finish_close(0);
  CHECK(rig.outcome(tag) == "not_sent sign_on_refused");
  CHECK(rig.events.last().kind == EventKind::session_failed);
  CHECK(rig.events.last().words == "the host refused the sign-on: field 39 of its answer is not as expected");
  CHECK(rig.outcome(rig.ask(purchase("000078"))) == "not_sent sign_on_refused");
  rig.advance_ms(100);  // the endpoint's pause
  CHECK(rig.starting() == 1);
  sign_on(rig);
  CHECK(rig.is_clean());
}

TEST_CASE("engine.a sign-on without an answer is given up after sign_on_ms") {
  MuxRig rig(loaded(sign_on_config()));
  rig.bring_up(0);
  hear(rig);
  rig.advance_ms(kSignOnMs - 1);
  CHECK(rig.session(0).state == SessionState::signing_on);
  rig.advance_ms(1);
  rig.finish_close(0);
  CHECK(rig.events.last().reason == Reason::sign_on_timeout);
}

TEST_CASE("engine.sign-on messages go out one after the other, with numbers of their own") {
  auto config = sign_on_config();
  config.upstreams[0].sign_on.messages.push_back(message("161"));
  MuxRig rig(loaded(config));
  rig.bring_up(0);
  const auto first = hear(rig).at(0);
  CHECK(hear(rig).empty());
  rig.say(0, answer_to(rig, first));
  CHECK(rig.session(0).state == SessionState::signing_on);
  const auto second = hear(rig).at(0);
  CHECK(second.ends_with("161"));
  CHECK(second.substr(0, 60) != first.substr(0, 60));
  rig.say(0, answer_to(rig, first));  // once more: answers nothing
  CHECK(rig.session(0).state == SessionState::signing_on);
  CHECK(rig.upstream().unsolicited == 1);
  rig.say(0, answer_to(rig, second));
  CHECK(rig.session(0).is_up());
}

TEST_CASE("engine.without a trace number, a sign-on waits for one") {
  MuxRig rig(loaded(sign_on_config()));
  rig.trace_numbers.are_there = false;
  rig.bring_up(0);
  CHECK(hear(rig).empty());
  rig.advance_to_due();
  CHECK(hear(rig).empty());

  SUBCASE("that comes") {
    rig.trace_numbers.are_there = true;
    rig.advance_to_due();
    const auto heard = hear(rig);
    REQUIRE(heard.size() == 1);
    rig.say(0, answer_to(rig, heard[0]));
    CHECK(rig.session(0).is_up());
  }
  SUBCASE("as long as for an answer") {
    rig.advance_ms(kSignOnMs);
    rig.finish_close(0);
    CHECK(rig.events.last().words == "there was no trace number for the sign-on");
  }
}

TEST_CASE("engine.one sign-on for the whole upstream") {
  auto config = sign_on_config(3);
  config.upstreams[0].sign_on.scope = config::SignOnScope::upstream;
  MuxRig rig(loaded(config));
  for (std::size_t session = 0; session < 3; ++session) rig.bring_up(session);
  const auto heard = hear(rig, 0);
  REQUIRE(heard.size() == 1);
  CHECK(hear(rig, 1).empty());
  CHECK(hear(rig, 2).empty());
  CHECK(rig.count(SessionState::signing_on) == 3);

  SUBCASE("all are ready when the host has agreed") {
    rig.say(0, answer_to(rig, heard[0]));
    CHECK(rig.count(SessionState::ready) == 3);
    rig.lose(1);
    rig.advance_ms(100);
    rig.bring_up(1);
    CHECK(rig.session(1).is_up());  // without another sign-on
    CHECK(hear(rig, 1).empty());
  }
  SUBCASE("the next one signs on when the first is lost") {
    rig.lose(0);
    CHECK(rig.count(SessionState::signing_on) == 2);
    const auto next = hear(rig, 1);
    REQUIRE(next.size() == 1);
    rig.say(1, answer_to(rig, next[0]));
    CHECK(rig.count(SessionState::ready) == 2);
  }
  SUBCASE("once all are lost, it is said again") {
    rig.say(0, answer_to(rig, heard[0]));
    for (std::size_t session = 0; session < 3; ++session) rig.lose(session);
    rig.advance_ms(1600);
    rig.bring_up_all();
    std::size_t said = 0;
    for (std::size_t session = 0; session < 3; ++session) said += hear(rig, session).size();
    CHECK(said == 1);
  }
}

TEST_CASE("engine.a heartbeat after idle_ms, and none while the host talks") {
  MuxRig rig(loaded(heartbeat_config()));
  rig.bring_up(0);
  rig.advance_ms(499);
  CHECK(hear(rig).empty());
  rig.ask(purchase("000001"));
  CHECK(hear(rig).size() == 1);
  rig.say(0, purchase_answer("000001"));
  rig.advance_ms(499);
  CHECK(hear(rig).empty());
  rig.advance_ms(1);
  const auto echo = hear(rig);
  REQUIRE(echo.size() == 1);
  CHECK(echo[0].ends_with("301"));
  rig.say(0, answer_to(rig, echo[0]));
  CHECK(rig.upstream().unsolicited == 0);
  CHECK(rig.session(0).is_up());
}

TEST_CASE("engine.heartbeats keep to their minimum interval") {
  auto config = heartbeat_config();
  config.upstreams[0].heartbeat.interval_min_ms = 5000;
  MuxRig rig(loaded(config));
  rig.bring_up(0);
  rig.advance_ms(500);
  rig.say(0, answer_to(rig, hear(rig).at(0)));
  rig.advance_ms(4999);
  CHECK(hear(rig).empty());
  rig.advance_ms(1);
  CHECK(hear(rig).size() == 1);
}

TEST_CASE("engine.a session whose heartbeats are missed is given up") {
  MuxRig rig(loaded(heartbeat_config()));
  rig.bring_up(0);
  const auto tag = rig.ask(purchase("000001"));
  CHECK(hear(rig).size() == 1);
  rig.advance_ms(500);
  CHECK(hear(rig).size() == 1);
  rig.advance_ms(200);
  CHECK(rig.session(0).heartbeats_missed == 1);

  SUBCASE("at the limit") {
    CHECK(hear(rig).size() == 1);
    rig.advance_ms(200);
    rig.finish_close(0);
    CHECK(rig.outcome(tag) == "maybe_sent heartbeat_missed");
    CHECK(rig.events.last().words == "the host did not answer 2 heartbeats in a row");
  }
  SUBCASE("but not one that talks in the meantime") {
    CHECK(hear(rig).size() == 1);
    rig.advance_ms(100);
    rig.say(0, purchase_answer("000001"));
    rig.advance_ms(100);
    CHECK(rig.session(0).heartbeats_missed == 0);
    CHECK(rig.session(0).is_up());
  }
}

TEST_CASE("engine.a heartbeat may be a keep-alive that the host echoes") {
  auto config = heartbeat_config();
  config.upstreams[0].heartbeat.message = {};
  config.upstreams[0].heartbeat.keep_alive = true;
  MuxRig rig(loaded(config));
  rig.bring_up(0);
  rig.advance_ms(500);
  hear(rig);
  CHECK(rig.session(0).exchange.is_open());
  const std::array<std::byte, 2> zero_length{};
  rig.say_raw(0, zero_length);
  CHECK_FALSE(rig.session(0).exchange.is_open());
  rig.advance_ms(500);
  rig.advance_ms(200);
  CHECK(rig.session(0).heartbeats_missed == 1);
}

TEST_CASE("outcome.the key of a message of the engine's own is in flight as any other") {
  MuxRig rig(loaded(heartbeat_config()));
  rig.bring_up(0);
  rig.advance_ms(500);
  const auto echo = hear(rig).at(0);
  CHECK(rig.outcome(rig.ask(echo)) == "not_sent duplicate_key");
  rig.say(0, answer_to(rig, echo));
  const auto tag = rig.ask(echo);
  CHECK(hear(rig).size() == 1);
  const auto answer = answer_to(rig, echo);
  rig.say(0, answer);
  CHECK(rig.outcome(tag) == "answered " + answer);
}

namespace {

void drain_upstream(MuxRig& rig) {
  const auto tag = rig.ask(purchase("000001"));
  CHECK(hear(rig).size() == 1);
  rig.mux.drain_upstream(0);
  CHECK(hear(rig).empty());  // the answer comes first
  rig.say(0, purchase_answer("000001"));
  CHECK(rig.outcome(tag) == "answered " + purchase_answer("000001"));
}

void stop_engine(MuxRig& rig) {
  rig.mux.drain();
  rig.mux.close_sessions();
}

}  // namespace

TEST_CASE("engine.a session signs off before it is closed, whatever the host says to that") {
  auto config = sign_on_config();
  config.upstreams[0].sign_off.messages = {message("002")};
  for (const auto end : {drain_upstream, stop_engine}) {
    for (const auto* code : {"00", "96", ""}) {
      CAPTURE(code);
      MuxRig rig(loaded(config));
      sign_on(rig);
      end(rig);
      const auto goodbye = hear(rig);
      REQUIRE(goodbye.size() == 1);
      CHECK(goodbye[0].ends_with("002"));
      CHECK(rig.session(0).state == SessionState::draining);
      if (*code != '\0') {
        rig.say(0, answer_to(rig, goodbye[0], code));
      } else {
        rig.advance_ms(kSignOnMs);  // it says nothing
      }
      rig.advance_ns(0);
      while (rig.network[0].sending) rig.accept_all(0);
      rig.finish_close(0);
      CHECK(rig.session(0).state == SessionState::none);
      CHECK(rig.events.last().kind == EventKind::session_closed);
    }
  }
}

TEST_CASE("engine.a request of the host is answered by a configured reply, any other is unsolicited") {
  auto config = iso8583_config();
  config.upstreams[0].auto_replies = {{.mti = "0800", .match = {{70, "301"}}, .set = {{39, "00"}}}};
  MuxRig rig(loaded(config));
  rig.bring_up(0);
  const std::string fields =
      "0800822000000080000004000000000000001114221320"
      "000042"
      "TERM0001";
  rig.say(0, fields + "301");
  const auto reply = hear(rig);
  REQUIRE(reply.size() == 1);
  CHECK(reply[0] == answer_to(rig, fields + "301"));
  CHECK(rig.upstream().auto_replies == 1);
  CHECK(rig.notices.unsolicited_ones.empty());

  rig.say(0, fields + "161");
  CHECK(hear(rig).empty());
  REQUIRE(rig.notices.unsolicited_ones.size() == 1);
  CHECK(rig.notices.unsolicited_ones[0].message == fields + "161");
}
