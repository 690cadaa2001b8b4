// Which request an answer goes to, and what becomes of messages that answer none.
#include <doctest/doctest.h>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using engine::mux::EventKind;
using shm::SessionState;
using test::MuxRig;

namespace {

void ask_three_and_accept(MuxRig& rig) {
  for (const auto* message : {"0001 one", "0002 two", "0003 three"}) rig.submit(message);
  rig.mux.flush();
  rig.accept_all(0);
  REQUIRE(rig.heard(0) == std::vector<std::string>{"0001 one", "0002 two", "0003 three"});
}

}  // namespace

TEST_CASE("correlation.fifo gives answers in the order of requests") {
  MuxRig rig(test::fifo_config());
  rig.bring_up(0);
  ask_three_and_accept(rig);
  rig.say(0, "x");
  rig.say(0, "y");
  CHECK(rig.outcome(0) == "answered x");
  CHECK(rig.outcome(1) == "answered y");
  CHECK(rig.outcome(2) == "open");
  rig.say(0, "z");
  CHECK(rig.outcome(2) == "answered z");
  CHECK(rig.is_clean());
}

TEST_CASE("correlation.keys tell answers apart in any order") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  ask_three_and_accept(rig);
  rig.say(0, "0003 c");
  rig.say(0, "0001 a");
  rig.say(0, "0002 b");
  CHECK(rig.outcome(0) == "answered 0001 a");
  CHECK(rig.outcome(1) == "answered 0002 b");
  CHECK(rig.outcome(2) == "answered 0003 c");
  CHECK(rig.is_clean());
}

TEST_CASE("correlation.many answers in one record, and one in many") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  ask_three_and_accept(rig);
  const auto stream =
      test::to_bytes(std::string("\0\4"
                                 "0002"
                                 "\0\5"
                                 "0001a"
                                 "\0\4"
                                 "0003",
                                 19));
  SUBCASE("one record") { rig.say_raw(0, stream); }
  SUBCASE("one record for each byte") {
    for (const auto byte : stream) rig.say_raw(0, std::span(&byte, 1));
  }
  SUBCASE("received byte by byte") {
    std::vector<std::byte> records;
    test::PlainTlsHost::seal(stream, records);
    for (const auto byte : records) rig.receive(0, {byte});
  }
  CHECK(rig.outcome(0) == "answered 0001a");
  CHECK(rig.outcome(1) == "answered 0002");
  CHECK(rig.outcome(2) == "answered 0003");
  CHECK(rig.is_clean());
}

TEST_CASE("correlation.a second request with a key in flight is not sent") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto first = rig.ask("0001 first");
  CHECK(rig.outcome(rig.ask("0001 second")) == "not_sent duplicate_key");
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"0001 first"});
  rig.say(0, "0001");
  CHECK(rig.outcome(first) == "answered 0001");
  const auto third = rig.ask("0001 third");
  CHECK(rig.outcome(third) == "open");
  rig.accept_all(0);
  rig.say(0, "0001");
  CHECK(rig.outcome(third) == "answered 0001");
  CHECK(rig.is_clean());
}

TEST_CASE("correlation.a request too short for its key is not sent") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  CHECK(rig.outcome(rig.ask("000")) == "not_sent unparsable");
  CHECK(rig.is_clean());
  CHECK(rig.outcome(rig.ask("0001")) == "open");  // nothing but the key is long enough
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"0001"});
}

TEST_CASE("correlation.what was judged is what is sealed, whatever the caller writes in between") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto tag = rig.submit("0001 before");
  rig.callers[tag].message = test::to_bytes("9999 behind");
  rig.mux.flush();
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"0001 behind"});
}

TEST_CASE("correlation.unsolicited messages are counted where keys tell, and fatal where order does") {
  SUBCASE("keys") {
    MuxRig rig(test::keyed_config());
    rig.bring_up(0);
    const auto tag = rig.ask("0001");
    rig.accept_all(0);
    rig.say(0, "0002 nobody asked");
    rig.say(0, "00");  // too short for a key
    CHECK(rig.upstream().unsolicited == 2);
    CHECK(rig.events.count(EventKind::unsolicited_message) == 2);
    rig.say(0, "0001");
    CHECK(rig.outcome(tag) == "answered 0001");
    rig.say(0, "0001");  // a second answer to the same request
    CHECK(rig.upstream().unsolicited == 3);
    CHECK(rig.session(0).is_up());
  }
  SUBCASE("order") {
    MuxRig rig(test::fifo_config());
    rig.bring_up(0);
    rig.say(0, "nobody asked");
    CHECK(rig.upstream().unsolicited == 1);
    CHECK_FALSE(rig.session(0).is_up());
    rig.finish_close(0);
    CHECK(rig.events.last().kind == EventKind::session_lost);
    CHECK(rig.events.last().reason == shm::Reason::stream_corrupt);
  }
}

TEST_CASE("correlation.an answer on another session than the request's answers nothing") {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  rig.bring_up_all();
  const auto tag = rig.ask("0001");
  const std::size_t own = rig.network[0].sending ? 0 : 1;
  rig.ask("0002");
  rig.accept_all(0);
  rig.accept_all(1);
  rig.say(1 - own, "0001 forged");
  CHECK(rig.outcome(tag) == "open");
  CHECK(rig.upstream().unsolicited == 1);
  rig.say(own, "0001");
  CHECK(rig.outcome(tag) == "answered 0001");
}

TEST_CASE("correlation.no message answers a request that still waits") {
  for (const bool keyed : {false, true}) {
    auto config = keyed ? test::keyed_config() : test::fifo_config();
    config.upstreams[0].in_flight_max = 1;
    MuxRig rig(config);
    rig.bring_up(0);
    rig.ask("0001");
    const auto waiting = rig.ask("0002");
    rig.accept_all(0);
    rig.say(0, "0001");
    // Not flushed yet, so 0002 is not sealed.
    rig.say(0, "0002");
    CHECK(rig.outcome(waiting) == "open");
    CHECK(rig.upstream().unsolicited == 1);
  }
}

TEST_CASE("correlation.no message answers a request of which no byte was given to the kernel") {
  // Sealed behind a send in flight: the host cannot know it. In order, such an answer proves the stream wrong.
  for (const bool keyed : {false, true}) {
    MuxRig rig(keyed ? test::keyed_config() : test::fifo_config());
    rig.bring_up(0);
    const auto first = rig.ask("0001");
    const auto second = rig.ask("0002");
    REQUIRE(rig.network[0].sends == 2);  // the handshake's, and the first request's
    rig.say(0, "0001");
    CHECK(rig.outcome(first) == "answered 0001");
    rig.say(0, "0002");
    CHECK(rig.outcome(second) == "open");
    CHECK(rig.upstream().unsolicited == 1);
    CHECK(rig.session(0).is_up() == keyed);
    if (keyed) continue;
    rig.finish_close(0);
    CHECK(rig.outcome(second) == "open");  // waits for the next session
  }
}

TEST_CASE("correlation.streams that cannot be trusted are closed") {
  for (const bool keyed : {false, true}) {
    MuxRig rig(keyed ? test::keyed_config() : test::fifo_config());
    rig.bring_up(0);
    const auto tag = rig.ask("0001");
    rig.accept_all(0);
    auto reason = "maybe_sent stream_corrupt";
    SUBCASE("a frame over the limit") { rig.say_raw(0, test::to_bytes("\xff\xff")); }
    SUBCASE("no TLS record") {
      rig.receive(0, test::to_bytes("HTTP/1.1 400 Bad Request\r\n"));
      reason = "maybe_sent record_corrupt";
    }
    CHECK(rig.outcome(tag) == "open");  // until the last has been told of the connection
    rig.finish_close(0);
    CHECK(rig.outcome(tag) == reason);
    CHECK(rig.session(0).state == SessionState::backing_off);
    CHECK(rig.is_clean());
  }
}

TEST_CASE("correlation.messages before a broken frame still count, those behind it do not") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto first = rig.ask("0001");
  const auto second = rig.ask("0002");
  rig.accept_all(0);
  auto stream =
      test::to_bytes(std::string("\0\4"
                                 "0001",
                                 6));
  for (const auto byte : test::to_bytes(std::string("\xff\xff\0\4"
                                                    "0002",
                                                    8)))
    stream.push_back(byte);
  rig.say_raw(0, stream);
  rig.finish_close(0);
  CHECK(rig.outcome(first) == "answered 0001");
  CHECK(rig.outcome(second) == "maybe_sent stream_corrupt");
}

TEST_CASE("correlation.keep-alives of the host are no messages") {
  MuxRig rig(test::fifo_config());
  rig.bring_up(0);
  rig.say_raw(0, test::to_bytes(std::string("\0\0\0\0", 4)));
  CHECK(rig.session(0).is_up());
  CHECK(rig.upstream().unsolicited == 0);
}
