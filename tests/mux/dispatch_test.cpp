// How waiting requests come to sessions.
#include <doctest/doctest.h>

#include <random>

#include "tests/mux/mux_rig.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using test::MuxRig;

namespace {

// The six digits of text_of() are the key.
config::Config six_digits() {
  auto config = test::keyed_config();
  config.upstreams[0].correlation.length = 6;
  return config;
}

std::string text_of(std::size_t number, std::size_t length) {
  auto text = std::to_string(number + 1'000'000).substr(1);
  text.resize(std::max<std::size_t>(length, 6), static_cast<char>('a' + number % 26));
  return text;
}

// The records among the bytes that the kernel has accepted since `from`.
std::vector<std::size_t> record_lengths(std::span<const std::byte> wire) {
  std::vector<std::size_t> lengths;
  test::PlainRecordCutter cutter;
  while (!wire.empty()) {
    const auto record = cutter.next(wire);
    REQUIRE(record.has_value());
    if (!*record) break;
    lengths.push_back((*record)->content.size());
  }
  return lengths;
}

}  // namespace

TEST_CASE("engine.requests of many callers go out in one record and one send") {
  MuxRig rig(six_digits());
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  const auto sends = rig.network[0].sends;
  for (std::size_t i = 0; i < 20; ++i) rig.submit(text_of(i, 100));
  rig.mux.flush();
  CHECK(rig.network[0].sends == sends + 1);
  rig.accept_all(0);
  CHECK(rig.network[0].sends == sends + 1);
  CHECK(record_lengths(std::span(rig.network[0].wire).subspan(before)) == std::vector<std::size_t>{20 * 102});
  CHECK(rig.heard(0).size() == 20);
}

TEST_CASE("engine.what comes during a send goes out with the next one") {
  MuxRig rig(six_digits());
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  const auto sends = rig.network[0].sends;
  rig.ask(text_of(0, 10));
  for (std::size_t i = 1; i < 4; ++i) rig.ask(text_of(i, 10));
  CHECK(rig.network[0].sends == sends + 1);
  rig.accept_all(0);
  CHECK(rig.network[0].sends == sends + 2);
  CHECK(record_lengths(std::span(rig.network[0].wire).subspan(before)) == std::vector<std::size_t>{12, 12, 12, 12});
  CHECK(rig.heard(0).size() == 4);
}

TEST_CASE("engine.the least loaded session takes the next request") {
  auto config = six_digits();
  config.upstreams[0].sessions = 3;
  MuxRig rig(config);
  rig.bring_up_all();
  for (std::size_t i = 0; i < 9; ++i) rig.ask(text_of(i, 10));
  for (std::size_t i = 0; i < 3; ++i) CHECK(rig.session(i).in_flight.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) rig.accept_all(i);
  // One becomes less loaded than the others: it gets all until it is not.
  for (const auto& message : rig.heard(1)) rig.say(1, message);
  CHECK(rig.session(1).in_flight.empty());
  for (std::size_t i = 10; i < 13; ++i) rig.ask(text_of(i, 10));
  CHECK(rig.session(1).in_flight.size() == 3);
}

TEST_CASE("engine.requests that wait at one time go together, eight to a session") {
  auto config = six_digits();
  config.upstreams[0].sessions = 3;
  std::vector<std::size_t> expected = {8, 8, 4};
  SUBCASE("to the least loaded") {}
  SUBCASE("but in turn if so configured") {
    config.upstreams[0].session_choice = config::SessionChoice::round_robin;
    expected = {7, 7, 6};
  }
  SUBCASE("or as many as it takes") {
    config.upstreams[0].in_flight_max = 7;
    expected = {7, 7, 6};
  }
  MuxRig rig(config);
  rig.bring_up_all();
  std::vector<std::size_t> sends;
  for (std::size_t i = 0; i < 3; ++i) sends.push_back(rig.network[i].sends);
  for (std::size_t i = 0; i < 20; ++i) rig.submit(text_of(i, 10));
  rig.mux.flush();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(rig.session(i).in_flight.size() == expected[i]);
    CHECK(rig.network[i].sends == sends[i] + 1);
  }
}

TEST_CASE("engine.sessions that are not up take nothing") {
  auto config = six_digits();
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  rig.bring_up(1);
  for (std::size_t i = 0; i < 4; ++i) rig.ask(text_of(i, 10));
  CHECK(rig.session(0).in_flight.empty());
  CHECK(rig.session(1).in_flight.size() == 4);
}

TEST_CASE("engine.no session has more than in_flight_max requests, abandoned ones included") {
  auto config = six_digits();
  config.upstreams[0].in_flight_max = 2;
  MuxRig rig(config);
  rig.bring_up(0);
  for (std::size_t i = 0; i < 5; ++i) rig.submit(text_of(i, 10), 10);
  rig.mux.flush();
  CHECK(rig.session(0).in_flight.size() == 2);
  CHECK(rig.upstream().queue.size() == 3);
  rig.accept_all(0);
  rig.advance_ms(10);  // the two in flight are given up and keep their places; the three are refused
  CHECK(rig.session(0).in_flight.size() == 2);
  CHECK(rig.upstream().queue.empty());
  const auto later = rig.ask(text_of(7, 10));
  CHECK(rig.upstream().queue.size() == 1);
  rig.say(0, text_of(0, 10));
  rig.mux.flush();
  CHECK(rig.upstream().queue.empty());
  CHECK(rig.outcome(later) == "open");
}

TEST_CASE("engine.a full queue refuses with overload, and so does a full engine") {
  auto config = six_digits();
  config.upstreams[0].queue_max = 3;
  config.upstreams.push_back(config.upstreams[0]);
  config.upstreams[1].name = "other";
  config.upstreams[1].queue_max = 100;
  config.engine.in_flight_max = 8;
  MuxRig rig(config);
  for (std::size_t i = 0; i < 3; ++i) CHECK(rig.outcome(rig.ask(text_of(i, 10))) == "open");
  CHECK(rig.outcome(rig.ask(text_of(3, 10))) == "not_sent overload");
  for (std::size_t i = 0; i < 5; ++i) CHECK(rig.outcome(rig.ask(text_of(i, 10), 0, 1)) == "open");
  CHECK(rig.outcome(rig.ask(text_of(6, 10), 0, 1)) == "not_sent overload");
  CHECK(rig.mux.requests_held() == 8);
}

TEST_CASE("engine.a message over several records arrives whole, and others share its last record") {
  MuxRig rig(six_digits());
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  for (const auto& [number, length] : {std::pair{0, 10}, std::pair{1, 40'000}, std::pair{2, 20}}) {
    rig.submit(text_of(static_cast<std::size_t>(number), static_cast<std::size_t>(length)));
  }
  rig.mux.flush();
  rig.accept_all(0);
  const auto lengths = record_lengths(std::span(rig.network[0].wire).subspan(before));
  CHECK(lengths == std::vector<std::size_t>{16384, 16384, 12 + 40'002 + 22 - 2 * 16384});
  CHECK(rig.heard(0) == std::vector<std::string>{text_of(0, 10), text_of(1, 40'000), text_of(2, 20)});
}

TEST_CASE("engine.records that are exactly full begin a new one for the next request") {
  MuxRig rig(six_digits());
  rig.bring_up(0);
  const auto before = rig.network[0].wire.size();
  rig.submit(text_of(0, 16384 - 2));
  rig.submit(text_of(1, 10));
  rig.mux.flush();
  rig.accept_all(0);
  CHECK(record_lengths(std::span(rig.network[0].wire).subspan(before)) == std::vector<std::size_t>{16384, 12});
  CHECK(rig.heard(0) == std::vector<std::string>{text_of(0, 16384 - 2), text_of(1, 10)});
}

TEST_CASE("engine.what does not fit the send memory waits until the kernel has accepted what is there") {
  MuxRig rig(six_digits());
  rig.bring_up(0);
  const auto big = rig.ask(text_of(0, 50'000));
  const auto behind = rig.ask(text_of(1, 30'000));
  CHECK(rig.session(0).in_flight.size() == 1);
  CHECK(rig.upstream().queue.size() == 1);
  rig.accept(0, 30'000);
  rig.mux.flush();
  CHECK(rig.upstream().queue.size() == 1);  // room comes back only when all is accepted
  rig.accept_all(0);
  rig.mux.flush();
  CHECK(rig.upstream().queue.empty());
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{text_of(0, 50'000), text_of(1, 30'000)});
  CHECK(rig.outcome(big) == "open");
  CHECK(rig.outcome(behind) == "open");
}

TEST_CASE("engine.a message of the largest size fits the memory that is asked for it") {
  for (const std::uint32_t bytes : {1U, 4096U, 16384U, 65'000U}) {
    auto config = six_digits();
    config.upstreams[0].correlation = {};
    config.upstreams[0].framing.message_bytes_max = bytes;
    MuxRig rig(config, engine::mux::send_memory_bytes(config.upstreams[0]));
    rig.bring_up(0);
    rig.ask(std::string(bytes, 'x'));
    rig.accept_all(0);
    CHECK(rig.heard(0).size() == 1);
  }
}

TEST_CASE("engine.any mixture of sizes arrives whole and in order on each session") {
  std::mt19937_64 random(test::seed());
  auto config = six_digits();
  config.engine.in_flight_max = 4000;
  config.upstreams[0].in_flight_max = 2000;
  MuxRig rig(config);
  rig.bring_up(0);
  std::vector<std::string> sent;
  std::vector<std::string> heard;
  const auto hear = [&] {
    for (auto& message : rig.heard(0)) heard.push_back(std::move(message));
  };
  for (std::size_t round = 0; round < 100; ++round) {
    for (auto count = random() % 12; count > 0; --count) {
      const auto length = random() % 4 == 0 ? random() % 50'000 : random() % 300;
      sent.push_back(text_of(sent.size(), length));
      rig.submit(sent.back());
    }
    rig.mux.flush();
    if (rig.network[0].sending) rig.accept(0, 1 + random() % rig.network[0].sending->size());
    hear();
    rig.mux.flush();
  }
  while (rig.network[0].sending) {
    rig.accept_all(0);
    rig.mux.flush();
  }
  hear();
  REQUIRE(heard.size() == sent.size());
  CHECK(heard == sent);
}

TEST_CASE("engine.status is told of requests that only wait") {
  MuxRig rig(six_digits());
  rig.bring_up(0);
  rig.mux.take_changed(0);
  CHECK_FALSE(rig.mux.take_changed(0));
  rig.submit(text_of(0, 10));
  CHECK(rig.mux.take_changed(0));
  rig.mux.flush();
  CHECK(rig.mux.take_changed(0));
}
