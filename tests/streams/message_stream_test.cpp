#include <doctest/doctest.h>

#include "tests/streams/stream_rig.hpp"

using namespace tlsmux;
using test::by_key;
using test::framed;
using test::framed_all;
using test::in_order;
using test::OneStream;
using test::StreamRig;

TEST_CASE("stream.a message stream waits for a session and then says what it is") {
  StreamRig rig(in_order());
  const auto stream = rig.open();
  rig.read(stream);
  CHECK_FALSE(rig.heard(stream).is_opened);
  CHECK_FALSE(rig.is_received(stream));
  rig.rig.bring_up_all();
  rig.turn();
  rig.read(stream);
  CHECK(rig.heard(stream).is_opened);
  CHECK(rig.heard(stream).records == 1);
  CHECK(rig.is_received(stream));
}

TEST_CASE("stream.a message stream waits no longer than its process wants") {
  StreamRig rig(in_order());
  const auto stream = rig.open({.wait_ms = 50});
  CHECK(rig.streams.next_due_ns() == rig.rig.now_ns + 50 * engine::mux::kNanosecondsPerMillisecond);
  rig.advance_ms(50);
  rig.read(stream);
  CHECK(rig.heard(stream).is_refused);
  CHECK(rig.heard(stream).reason == shm::Reason::deadline);
  CHECK(rig.is_gone(stream));
  CHECK(rig.count() == 0);
  CHECK(rig.streams.next_due_ns() == 0);
}

TEST_CASE("stream.a message stream is refused at once when waiting is in vain") {
  StreamRig rig(in_order());
  rig.rig.connect(0, ECONNREFUSED);
  rig.rig.finish_close(0);
  const auto stream = rig.open();
  rig.read(stream);
  CHECK(rig.heard(stream).is_refused);
  CHECK(rig.heard(stream).reason == shm::Reason::connect_refused);
  CHECK_FALSE(rig.heard(stream).maybe_sent);
  CHECK_FALSE(rig.heard(stream).words.empty());
  CHECK(rig.is_gone(stream));
}

TEST_CASE("stream.what is written is cut into messages wherever it is split") {
  const std::vector<std::string> messages{"a", "second", std::string(300, 'x')};
  const auto bytes = framed_all(messages);
  for (std::size_t split = 1; split < bytes.size(); ++split) {
    OneStream one(in_order());
    one.write(std::string_view(bytes).substr(0, split));
    one.write(std::string_view(bytes).substr(split));
    REQUIRE(one.asked() == messages);
    for (const auto& message : messages) one.answer("re " + message);
    REQUIRE(one.read().data == framed_all({"re a", "re second", "re " + std::string(300, 'x')}));
    REQUIRE(one.rig.rig.is_clean());
  }
}

TEST_CASE("stream.byte by byte") {
  const auto bytes = framed_all({"one", "two"});
  OneStream one(in_order());
  for (const char byte : bytes) one.write({&byte, 1});
  CHECK(one.asked() == std::vector<std::string>{"one", "two"});
}

TEST_CASE("stream.answers come as they are answered") {
  OneStream one(by_key(config::StreamOrder::as_answered));
  one.write(framed_all({"0001 a", "0002 b", "0003 c"}));
  REQUIRE(one.asked().size() == 3);
  one.answer("0003 C");
  CHECK(one.read().data == framed("0003 C"));
  one.answer("0001 A");
  one.answer("0002 B");
  CHECK(one.read().data == framed_all({"0003 C", "0001 A", "0002 B"}));
  CHECK(one.rig.rig.is_clean());
}

TEST_CASE("stream.answers come as they were asked") {
  OneStream one(by_key(config::StreamOrder::as_asked));
  one.write(framed_all({"0001 a", "0002 b", "0003 c"}));
  REQUIRE(one.asked().size() == 3);
  one.answer("0003 C");
  one.answer("0002 B");
  CHECK(one.read().data.empty());
  one.answer("0001 A");
  CHECK(one.read().data == framed_all({"0001 A", "0002 B", "0003 C"}));
  one.write(framed_all({"0004 d"}));
  one.answer("0004 D");
  CHECK(one.read().data.ends_with("0004 D"));
  CHECK(one.rig.rig.is_clean());
}

TEST_CASE("stream.two streams get their own answers from one session") {
  StreamRig rig(by_key(config::StreamOrder::as_answered));
  rig.rig.bring_up_all();
  const auto first = rig.open({.pid = 1});
  const auto second = rig.open({.pid = 2});
  rig.write(first, framed("0001 first"));
  rig.write(second, framed("0002 second"));
  rig.rig.accept_all(0);
  CHECK(rig.rig.heard(0).size() == 2);
  rig.rig.say(0, "0002 SECOND");
  rig.rig.say(0, "0001 FIRST");
  rig.turn();
  rig.read(first);
  rig.read(second);
  CHECK(rig.heard(first).data == framed("0001 FIRST"));
  CHECK(rig.heard(second).data == framed("0002 SECOND"));
}

TEST_CASE("stream.a large answer goes down in several records") {
  OneStream one(in_order());
  one.write(framed("?"));
  REQUIRE(one.asked().size() == 1);
  const std::string large(50'000, 'z');
  one.answer(large);
  CHECK(one.read().data == framed(large));
  CHECK(one.read().records == 1 + 4);
}

TEST_CASE("stream.no more than in_flight_max messages are asked at one time") {
  auto config = in_order();
  config.upstreams[0].streams.in_flight_max = 2;
  OneStream one(config);
  one.write(framed_all({"1", "2", "3", "4", "5"}));
  CHECK(one.asked() == std::vector<std::string>{"1", "2"});
  CHECK_FALSE(one.rig.is_received(one.stream));
  one.answer("A1");
  CHECK(one.asked() == std::vector<std::string>{"3"});
  one.answer("A2");
  one.answer("A3");
  CHECK(one.asked() == std::vector<std::string>{"4", "5"});
  CHECK_FALSE(one.rig.is_received(one.stream));
  one.answer("A4");
  CHECK(one.rig.is_received(one.stream));
  one.answer("A5");
  CHECK(one.read().data == framed_all({"A1", "A2", "A3", "A4", "A5"}));
}

TEST_CASE("stream.who writes faster than the upstream's queue can take waits, and loses nothing") {
  auto config = in_order();
  config.upstreams[0].in_flight_max = 2;
  config.upstreams[0].queue_max = 3;
  OneStream one(config);
  one.write(framed_all({"1", "2", "3", "4", "5", "6", "7", "8", "9"}));
  std::string answers;
  for (int i = 1; i <= 9; ++i) {
    one.asked();
    CHECK_FALSE(one.read().is_lost);
    if (i == 1) CHECK_FALSE(one.rig.is_received(one.stream));
    one.answer("A" + std::to_string(i));
    answers += framed("A" + std::to_string(i));
  }
  CHECK(one.read().data == answers);
  CHECK(one.rig.is_received(one.stream));
}

TEST_CASE("stream.a process that does not read is not read from, and costs bounded memory") {
  auto config = in_order();
  auto& settings = config.upstreams[0].streams;
  settings.in_flight_max = 4;
  settings.buffer_bytes = 20'000;
  OneStream one(config);
  const std::string question(1000, 'q');
  const std::string answer(1000, 'a');
  std::size_t asked = 0;
  while (one.rig.is_received(one.stream)) {
    REQUIRE(asked < 1000);
    one.write(framed(question));
    for (const auto& each : one.asked()) {
      CHECK(each == question);
      ++asked;
      one.answer(answer);
    }
  }
  const auto& socket = one.rig.sockets.sockets.at(one.stream.index);
  CHECK(socket.sending.has_value());
  // What waits is not more than the buffer and what was in flight when it became full.
  CHECK(asked >= 20'000 / 1006);
  CHECK(asked <= (20'000 + 4 * 1006) / 1006 + 1);
  one.read();
  CHECK(one.read().data.size() == asked * 1002);
  CHECK(one.rig.is_received(one.stream));
}

TEST_CASE("stream.after a half close what is in flight is answered, then the stream closes") {
  OneStream one(in_order());
  one.write(framed_all({"1", "2"}));
  one.rig.shut_down(one.stream);
  CHECK(one.asked().size() == 2);
  one.answer("A1");
  CHECK_FALSE(one.read().is_closed);
  one.answer("A2");
  CHECK(one.read().is_closed);
  CHECK(one.read().data == framed_all({"A1", "A2"}));
  CHECK(one.rig.is_gone(one.stream));
  CHECK(one.rig.count() == 0);
}
