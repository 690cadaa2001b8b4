// Answers that no request waits for: late ones, second ones, those of another session; and requests whose process is
// dead.
#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using test::MuxRig;

namespace {

MuxRig& up(MuxRig& rig) {
  rig.bring_up_all();
  return rig;
}

// Sent, and given up by the engine.
std::uint64_t ask_and_give_up(MuxRig& rig, std::string_view message) {
  const auto tag = rig.ask(message, 10);
  rig.accept_all(0);
  rig.advance_ms(10);
  REQUIRE(rig.outcome(tag) == "maybe_sent deadline");
  return tag;
}

}  // namespace

TEST_CASE("outcome.a late answer comes with the tag of its own request") {
  MuxRig rig(test::keyed_config());
  up(rig);
  const auto tag = ask_and_give_up(rig, "0001 a");
  // The key stays taken, so that the answer cannot be given to another.
  CHECK(rig.outcome(rig.ask("0001 b")) == "not_sent duplicate_key");
  rig.say(0, "0001 late");
  REQUIRE(rig.notices.late_ones.size() == 1);
  CHECK(rig.notices.late_ones[0].caller.tag == tag);
  CHECK(rig.notices.late_ones[0].message == "0001 late");
  CHECK(rig.notices.unsolicited_ones.empty());
  CHECK(rig.counters().late == 1);
  const auto next = rig.ask("0001 c");
  rig.accept_all(0);
  rig.say(0, "0001 ok");
  CHECK(rig.outcome(next) == "answered 0001 ok");
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.an answer to a request that its caller ended is late") {
  MuxRig rig(test::keyed_config());
  up(rig);
  const auto tag = rig.ask("0001 a");
  rig.accept_all(0);
  REQUIRE(rig.callers.expire(tag));
  rig.say(0, "0001 late");
  REQUIRE(rig.notices.late_ones.size() == 1);
  CHECK(rig.notices.late_ones[0].caller.tag == tag);
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.in order, a late answer belongs to the oldest that was given up") {
  MuxRig rig(test::fifo_config());
  up(rig);
  const auto first = ask_and_give_up(rig, "a");
  const auto second = rig.ask("b");
  rig.accept_all(0);
  rig.say(0, "A");
  rig.say(0, "B");
  REQUIRE(rig.notices.late_ones.size() == 1);
  CHECK(rig.notices.late_ones[0].caller.tag == first);
  CHECK(rig.notices.late_ones[0].message == "A");
  CHECK(rig.outcome(second) == "answered B");
}

TEST_CASE("outcome.a second answer, and one on another session, answer nothing") {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  up(rig);
  const auto tag = rig.ask("0001 a");
  const std::size_t carrier = rig.network[0].sending ? 0 : 1;
  rig.accept_all(carrier);
  rig.say(1 - carrier, "0001 wrong line");
  CHECK(rig.outcome(tag) == "open");
  rig.say(carrier, "0001 ok");
  rig.say(carrier, "0001 again");
  CHECK(rig.outcome(tag) == "answered 0001 ok");
  REQUIRE(rig.notices.unsolicited_ones.size() == 2);
  CHECK(rig.notices.unsolicited_ones[0].message == "0001 wrong line");
  CHECK(rig.notices.unsolicited_ones[1].message == "0001 again");
  CHECK(rig.notices.late_ones.empty());
}

TEST_CASE("outcome.a dead process's request in flight ends as it would have, and counts once") {
  MuxRig rig(test::keyed_config());
  up(rig);
  const auto tag = rig.ask("0001 a", 1000);
  rig.accept_all(0);
  rig.orphan(tag, 77);
  rig.callers.die();
  CHECK(rig.callers.orphans.empty());
  SUBCASE("answered") {
    rig.say(0, "0001 ok");
    CHECK(rig.callers.orphans.at(77) == "answered 0001 ok");
    CHECK(rig.counters().answered == 1);
  }
  SUBCASE("deadline, then a late answer") {
    rig.advance_ms(1000);
    CHECK(rig.callers.orphans.at(77) == "maybe_sent deadline");
    rig.say(0, "0001 late");
    REQUIRE(rig.notices.late_ones.size() == 1);
    CHECK(is_orphan(rig.notices.late_ones[0].caller));
    CHECK(rig.notices.late_ones[0].caller.generation == 77);
    CHECK(rig.notices.late_ones[0].caller.tag == tag);
  }
  SUBCASE("session lost") {
    rig.lose(0);
    CHECK(rig.callers.orphans.at(77) == "maybe_sent host_closed");
  }
  std::uint64_t counted = rig.counters().answered;
  for (const auto count : rig.counters().maybe_sent) counted += count;
  for (const auto count : rig.counters().not_sent) counted += count;
  CHECK(counted == 1);
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.a dead process's request that waits is not sent any more") {
  MuxRig rig(test::keyed_config());
  SUBCASE("waiting for the first session") {
    const auto tag = rig.ask("0001 a");
    rig.orphan(tag, 77);
    rig.callers.die();
    CHECK(rig.callers.orphans.at(77) == "not_sent client_died");
    rig.bring_up_all();
  }
  SUBCASE("taken, but no byte of it left") {
    rig.bring_up_all();
    rig.ask("0001 a");
    rig.accept(0, 1);
    const auto tag = rig.ask("0002 b");
    rig.orphan(tag, 77);
    rig.fail_send(0, EPIPE);
    rig.finish_close(0);
    rig.advance_to_due();
    rig.bring_up(0);
    CHECK(rig.callers.orphans.at(77) == "not_sent client_died");
  }
  rig.mux.flush();
  CHECK_FALSE(rig.network[0].sending.has_value());
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.the bytes of a dead process's request are those that were judged and sealed") {
  MuxRig rig(test::keyed_config());
  up(rig);
  const auto tag = rig.ask("0001 abc");
  rig.callers[tag].message = test::to_bytes("9999 abc");
  CHECK(test::to_text(rig.mux.copy_of(rig.index_of(tag))) == "0001 abc");
}
