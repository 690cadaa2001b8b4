// Deadlines: while queued, in flight, after; the caller's own and the engine's.
#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using test::MuxRig;

namespace {

config::Config with_short_times(config::Config config) {
  config.upstreams[0].timeouts.request_ms = 100;
  config.upstreams[0].timeouts.late_answer_ms = 50;
  return config;
}

}  // namespace

TEST_CASE("outcome.a deadline while queued: not sent") {
  MuxRig rig(with_short_times(test::keyed_config()));
  rig.connect(0);  // the handshake goes on
  const auto tag = rig.ask("0001", 10);
  const auto with_default = rig.ask("0002");
  CHECK(rig.mux.next_due_ns() == rig.now_ns + 10'000'000);
  rig.advance_ms(9);
  CHECK(rig.outcome(tag) == "open");
  rig.advance_ms(1);
  CHECK(rig.outcome(tag) == "not_sent deadline");
  rig.advance_ms(89);
  CHECK(rig.outcome(with_default) == "open");
  rig.advance_ms(1);
  CHECK(rig.outcome(with_default) == "not_sent deadline");
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.a deadline in flight: may be sent, and the key stays taken for late_answer_ms") {
  MuxRig rig(with_short_times(test::keyed_config()));
  rig.bring_up(0);
  const auto tag = rig.ask("0001", 10);
  rig.accept_all(0);
  rig.advance_ms(10);
  CHECK(rig.outcome(tag) == "maybe_sent deadline");
  CHECK(rig.session(0).in_flight.size() == 1);
  CHECK(rig.mux.requests_left() == 0);  // of those that somebody waits for
  CHECK(rig.outcome(rig.ask("0001")) == "not_sent duplicate_key");

  SUBCASE("the answer comes late") {
    rig.say(0, "0001 late");
    CHECK(rig.counters().late == 1);
    CHECK(rig.counters().answered == 0);
    CHECK(rig.upstream().unsolicited == 0);
  }
  SUBCASE("the answer never comes") {
    rig.advance_ms(49);
    CHECK(rig.outcome(rig.ask("0001")) == "not_sent duplicate_key");
    rig.advance_ms(1);
    CHECK(rig.session(0).is_up());
  }
  CHECK(rig.is_clean());
  CHECK(rig.outcome(tag) == "maybe_sent deadline");
  const auto again = rig.ask("0001");
  rig.accept_all(0);
  rig.say(0, "0001 in time");
  CHECK(rig.outcome(again) == "answered 0001 in time");
}

TEST_CASE("outcome.in order a late answer takes its own place, and a missing one ends the session") {
  MuxRig rig(with_short_times(test::fifo_config()));
  rig.bring_up(0);
  const auto slow = rig.ask("slow", 10);
  const auto next = rig.ask("next");
  rig.accept_all(0);
  rig.advance_ms(10);
  CHECK(rig.outcome(slow) == "maybe_sent deadline");
  SUBCASE("late") {
    rig.say(0, "late");
    CHECK(rig.outcome(next) == "open");
    CHECK(rig.counters().late == 1);
    rig.say(0, "in time");
    CHECK(rig.outcome(next) == "answered in time");
    CHECK(rig.session(0).is_up());
  }
  SUBCASE("missing") {
    rig.advance_ms(50);
    CHECK_FALSE(rig.session(0).is_up());
    rig.finish_close(0);
    CHECK(rig.outcome(next) == "maybe_sent stream_corrupt");
  }
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.in order a missing answer on a session that is already ending") {
  MuxRig rig(with_short_times(test::fifo_config()));
  rig.bring_up(0);
  const auto slow = rig.ask("slow", 10);
  rig.accept_all(0);
  rig.advance_ms(10);
  rig.mux.ended(rig.network[0].id, 0);
  rig.advance_ms(50);  // late_answer_ms is over while `closed` is awaited
  rig.advance_ms(1);
  rig.finish_close(0);
  CHECK(rig.outcome(slow) == "maybe_sent deadline");
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.a deadline while the session is ending") {
  MuxRig rig(with_short_times(test::keyed_config()));
  rig.bring_up(0);
  const auto sealed = rig.ask("0001", 10);
  rig.mux.ended(rig.network[0].id, ECONNRESET);
  rig.advance_ms(10);
  CHECK(rig.outcome(sealed) == "maybe_sent deadline");  // nobody knows yet whether a byte left
  rig.finish_close(0);
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.withdrawn before sealing: never sent") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto withdrawn = rig.submit("0001");
  const auto kept = rig.submit("0002");
  REQUIRE(rig.callers.withdraw(withdrawn));
  rig.mux.flush();
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"0002"});
  CHECK(rig.outcome(withdrawn) == "withdrawn");
  CHECK(rig.outcome(kept) == "open");
  rig.ask("0001");  // its key is free again
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"0001"});
}

TEST_CASE("outcome.withdrawn while nothing is up: given back at its deadline") {
  MuxRig rig(test::keyed_config());
  const auto tag = rig.ask("0001", 10);
  REQUIRE(rig.callers.withdraw(tag));
  rig.advance_ms(10);
  CHECK(rig.outcome(tag) == "withdrawn");
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.expired by the caller before the answer: the answer is late") {
  for (const bool keyed : {false, true}) {
    MuxRig rig(keyed ? test::keyed_config() : test::fifo_config());
    rig.bring_up(0);
    const auto expired = rig.ask("0001");
    const auto waits = rig.ask("0002");
    rig.accept_all(0);
    REQUIRE(rig.callers.expire(expired));
    rig.say(0, "0001");
    rig.say(0, "0002");
    CHECK(rig.outcome(expired) == "expired");
    CHECK(rig.outcome(waits) == "answered 0002");
    CHECK(rig.counters().late == 1);
    CHECK(rig.is_clean());
  }
}

TEST_CASE("outcome.expired by the caller, then the engine's deadline, then the answer") {
  MuxRig rig(with_short_times(test::keyed_config()));
  rig.bring_up(0);
  const auto tag = rig.ask("0001", 10);
  rig.accept_all(0);
  REQUIRE(rig.callers.expire(tag));
  rig.advance_ms(10);
  CHECK(rig.outcome(tag) == "expired");
  rig.say(0, "0001");
  CHECK(rig.counters().late == 1);
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.a time-out beyond the limit is cut to it") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto tag = rig.ask("0001", ~0U);
  rig.accept_all(0);
  rig.advance_ms(config::kTimeoutMsMax - 1);
  CHECK(rig.outcome(tag) == "open");
  rig.advance_ms(1);
  CHECK(rig.outcome(tag) == "maybe_sent deadline");
}
