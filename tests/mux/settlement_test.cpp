#include "engine/mux/settlement.hpp"

#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::engine::mux;
using shm::Reason;
using test::MuxRig;

namespace {

std::uint64_t count(const std::array<std::uint64_t, shm::kReasonCount>& counters, Reason reason) {
  return counters[static_cast<std::size_t>(reason)];
}

std::uint64_t total(const std::array<std::uint64_t, shm::kReasonCount>& counters) {
  std::uint64_t sum = 0;
  for (const auto one : counters) sum += one;
  return sum;
}

}  // namespace

TEST_CASE("outcome.every request is counted once, under its outcome and reason") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto answered = rig.ask("0001 a");
  rig.accept_all(0);
  rig.say(0, "0001 b");
  CHECK(rig.outcome(answered) == "answered 0001 b");
  rig.ask("0002 lost");
  rig.accept_all(0);
  rig.lose(0);
  rig.ask("0003 waits in vain", 5);
  rig.advance_ms(5);

  const auto& counters = rig.counters();
  CHECK(counters.answered == 1);
  CHECK(counters.late == 0);
  CHECK(count(counters.maybe_sent, Reason::host_closed) == 1);
  CHECK(total(counters.maybe_sent) == 1);
  CHECK(count(counters.not_sent, Reason::deadline) == 1);
  CHECK(total(counters.not_sent) == 1);
  std::uint64_t latencies = 0;
  for (const auto one : counters.latency) latencies += one;
  CHECK(latencies == 1);
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.what a caller decided itself is counted as what it was told") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  SUBCASE("withdrawn while queued: not sent, cancelled") {
    const auto tag = rig.submit("0001");
    REQUIRE(rig.callers.withdraw(tag));
    rig.mux.flush();
    CHECK(count(rig.counters().not_sent, Reason::cancelled) == 1);
  }
  SUBCASE("withdrawn when its time was over: not sent, deadline") {
    const auto tag = rig.submit("0001", 10);
    REQUIRE(rig.callers.withdraw(tag, Reason::deadline));
    rig.advance_ms(10);
    CHECK(count(rig.counters().not_sent, Reason::deadline) == 1);
  }
  SUBCASE("withdrawn when its time was over by its own clock, a little ahead of ours: not sent, deadline") {
    const auto tag = rig.submit("0001", 10);
    REQUIRE(rig.callers.withdraw(tag, Reason::deadline));
    rig.mux.flush();
    CHECK(count(rig.counters().not_sent, Reason::deadline) == 1);
  }
  SUBCASE("cancelled, and found out when its time was over as well: not sent, cancelled") {
    const auto tag = rig.submit("0001", 10);
    REQUIRE(rig.callers.withdraw(tag));
    rig.advance_ms(10);
    CHECK(count(rig.counters().not_sent, Reason::cancelled) == 1);
  }
  SUBCASE("expired in flight by its own clock, and answered a little later: may be sent, deadline") {
    const auto tag = rig.ask("0001");
    rig.accept_all(0);
    REQUIRE(rig.callers.expire(tag, Reason::deadline));
    rig.say(0, "0001");
    CHECK(count(rig.counters().maybe_sent, Reason::deadline) == 1);
    CHECK(rig.counters().late == 1);
  }
  SUBCASE("cancelled in flight, and found out when its time was over as well: may be sent, cancelled") {
    const auto tag = rig.ask("0001", 10);
    rig.accept_all(0);
    REQUIRE(rig.callers.expire(tag));
    rig.advance_ms(10);
    CHECK(count(rig.counters().maybe_sent, Reason::cancelled) == 1);
    rig.say(0, "0001");
  }
  SUBCASE("expired in flight: may be sent") {
    const auto tag = rig.ask("0001");
    rig.accept_all(0);
    REQUIRE(rig.callers.expire(tag));
    rig.say(0, "0001");
    CHECK(count(rig.counters().maybe_sent, Reason::cancelled) == 1);
    CHECK(rig.counters().late == 1);
    CHECK(rig.counters().answered == 0);
  }
  SUBCASE("expired after it was sealed, and no byte left: the caller was told that it may be sent") {
    const auto tag = rig.ask("0001");
    REQUIRE(rig.callers.expire(tag));
    rig.fail_send(0, ECONNRESET);
    rig.finish_close(0);
    rig.advance_to_due();
    rig.bring_up(0);
    rig.mux.flush();
    CHECK(rig.outcome(tag) == "expired");
    CHECK(count(rig.counters().maybe_sent, Reason::cancelled) == 1);
    CHECK(total(rig.counters().not_sent) == 0);
  }
  CHECK(total(rig.counters().not_sent) + total(rig.counters().maybe_sent) == 1);
  CHECK(rig.is_clean());
}
