// Bytes between a stream and its session: room, holding, half-closing, and what is said when the session is lost.
#include <doctest/doctest.h>

#include "tests/mux/lease_rig.hpp"
#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using config::FramingKind;
using test::frame;
using test::lease_config;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

constexpr std::uint16_t kTls12 = 0x0303;
constexpr std::uint16_t kTls13 = 0x0304;

test::TlsScript script_of(std::uint16_t version) {
  test::TlsScript script{.open_error = {}};
  script.facts.version_number = version;
  return script;
}

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i * i % 23);
  return text;
}

}  // namespace

TEST_CASE("stream.as much is sealed as there is room for, and room is told when all has been sent") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  rig.bring_up_all();
  const auto stream = rig.lease();
  const auto text = pattern(300'000);
  std::size_t written = 0;
  std::size_t waits = 0;
  while (written < text.size()) {
    const auto taken = rig.write(stream, std::string_view(text).substr(written));
    REQUIRE(taken > 0);
    written += taken;
    if (written == text.size()) break;
    REQUIRE(taken <= 64 * 1024);
    CHECK(rig.write(stream, std::string_view(text).substr(written)) == 0);
    // In part is not enough: nothing moves in memory that the kernel reads.
    rig.accept(0, 10'000);
    CHECK(rig.holders[stream].rooms == waits);
    rig.accept_all(0);
    CHECK(rig.holders[stream].rooms == ++waits);
  }
  CHECK(waits >= 4);
  rig.accept_all(0);
  CHECK(rig.holders[stream].rooms == waits);
  CHECK(rig.heard_raw(0) == text);
}

TEST_CASE("stream.while one send is under way the next bytes are sealed behind it") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  rig.bring_up_all();
  const auto stream = rig.lease();
  CHECK(rig.write(stream, "one") == 3);
  CHECK(rig.write(stream, "two") == 3);
  CHECK(rig.network[0].sending->size() == test::kPlainHeaderBytes + 3);
  rig.accept_all(0);
  CHECK(rig.heard_raw(0) == "onetwo");
  CHECK(rig.holders[stream].rooms == 0);  // there always was
}

TEST_CASE("stream.a host that takes no bytes is given up, and the stream is told") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.write(stream, pattern(100'000));
  rig.accept(0, 1'000);
  rig.advance_ms(rig.config.upstreams[0].timeouts.write_stall_ms);
  CHECK(rig.state(stream) == "open");  // until the network has told the last of it
  CHECK(rig.write(stream, "more") == 0);
  rig.finish_close(0);
  CHECK(rig.state(stream) == "maybe_sent write_stalled");
}

TEST_CASE("stream.holding stops the session's receiving, and the end of the stream undoes it") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto stream = rig.lease();
  auto& leases = rig.mux.leases();
  leases.resume(stream);
  leases.hold(stream);
  leases.hold(stream);
  CHECK(rig.network[0].held);
  rig.say(0, "on its way");  // what the kernel has handed over already
  CHECK(rig.holders[stream].received == frame("on its way"));
  leases.resume(stream);
  CHECK_FALSE(rig.network[0].held);
  leases.hold(stream);
  rig.give_back(stream);
  CHECK_FALSE(rig.network[0].held);
  leases.hold(stream);
  CHECK_FALSE(rig.network[0].held);
}

TEST_CASE("stream.a held session that is lost is closed like any other") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.mux.leases().hold(stream);
  rig.write(stream, frame("question"));
  rig.fail_send(0, EPIPE);
  rig.mux.leases().resume(stream);
  rig.finish_close(0);
  CHECK(rig.state(stream) == "lost connection_lost");
  rig.advance_to_due();
  rig.bring_up_all();
  CHECK_FALSE(rig.network[0].held);
}

// ---- When the session is lost ----

TEST_CASE("stream.a question of which one byte was accepted may have been sent, and no other") {
  const auto question = frame("question");
  const auto bytes = test::kPlainHeaderBytes + question.size();
  for (const bool is_second : {false, true}) {
    for (std::size_t accepted = 0; accepted <= bytes; ++accepted) {
      for (const bool during_close : {false, true}) {
        CAPTURE(is_second);
        CAPTURE(accepted);
        MuxRig rig(lease_config(1));
        rig.bring_up_all();
        const auto stream = rig.lease();
        if (is_second) {
          rig.write(stream, frame("first"));
          rig.accept_all(0);
          rig.say(0, "answer");
        }
        rig.write(stream, question);
        if (accepted > 0 && !during_close) rig.accept(0, accepted);
        rig.mux.ended(rig.network[0].id, 0);
        CHECK(rig.state(stream) == "open");
        rig.finish_close(0, during_close ? accepted : 0);
        CHECK(rig.state(stream) == (accepted > 0 ? "maybe_sent host_closed" : "lost host_closed"));
      }
    }
  }
}

TEST_CASE("stream.what was answered was not lost with the session, unless nobody knows what an answer is") {
  for (const auto framing : {FramingKind::length, FramingKind::none}) {
    MuxRig rig(lease_config(1, 0, framing));
    rig.bring_up_all();
    const auto stream = rig.lease();
    rig.write(stream, frame("question"));
    rig.accept_all(0);
    rig.say(0, "answer");
    rig.lose(0, ECONNRESET);
    CHECK(rig.state(stream) ==
          (framing == FramingKind::length ? "lost connection_lost" : "maybe_sent connection_lost"));
    CHECK(rig.holders[stream].received == frame("answer"));
  }
}

TEST_CASE("stream.an answer to what has not been given to the network excuses nothing") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.write(stream, frame("first"));
  rig.write(stream, frame("second"));  // sealed while the first is being sent
  rig.say(0, "answer");
  rig.say(0, "answer");
  rig.accept_all(0);
  rig.lose(0);
  CHECK(rig.state(stream) == "maybe_sent host_closed");
}

TEST_CASE("stream.a session that cannot seal is lost") {
  MuxRig rig(lease_config(1));
  test::TlsScript script{.good_seals = 1, .open_error = {}};
  test::bring_up_scripted(rig, 0, script);
  const auto stream = rig.lease();
  CHECK(rig.write(stream, "x") == 1);
  CHECK(rig.write(stream, "y") == 0);
  rig.finish_close(0);
  CHECK(rig.state(stream) == "lost record_corrupt");
  rig.give_back(stream);
  CHECK(rig.mux.requests_left() == 0);
}

// ---- Half-closing ----

TEST_CASE("stream.a stream that writes no more tells the host where the host could not know, in TLS 1.3") {
  struct Case {
    FramingKind framing;
    std::uint16_t version;
    std::string written;
    bool is_told;
  };
  const Case cases[] = {
      {FramingKind::none, kTls13, "question", true},    {FramingKind::none, kTls13, "", true},
      {FramingKind::none, kTls12, "question", false},   {FramingKind::length, kTls13, "", false},
      {FramingKind::length, kTls13, frame("q"), false}, {FramingKind::length, kTls13, "\x01", false},
  };
  for (const auto& one : cases) {
    CAPTURE(static_cast<int>(one.framing));
    CAPTURE(one.version);
    CAPTURE(one.written);
    MuxRig rig(lease_config(1, 0, one.framing));
    auto script = script_of(one.version);
    test::bring_up_scripted(rig, 0, script);
    const auto stream = rig.lease();
    rig.write(stream, one.written);
    rig.mux.leases().finish_writing(stream);
    rig.mux.leases().finish_writing(stream);
    rig.accept_all(0);
    CHECK(rig.session(0).lease.said_close_notify == one.is_told);
    // The other direction goes on.
    rig.say(0, "answer");
    CHECK(rig.holders[stream].received == frame("answer"));
    rig.say_close_notify(0);
    CHECK(rig.holders[stream].host_finished);
    CHECK(rig.session(0).is_up());
    rig.mux.ended(rig.network[0].id, 0);
    CHECK(rig.session(0).is_up());
    CHECK(rig.state(stream) == "open");
    rig.give_back(stream);
    REQUIRE(rig.network[0].stage == Stage::closing);
    CHECK(rig.network[0].sending.has_value() == !one.is_told);  // goodbye is said once
  }
}

TEST_CASE("stream.the end of writing is told behind all that was written") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  auto script = script_of(kTls13);
  test::bring_up_scripted(rig, 0, script);
  const auto stream = rig.lease();
  const auto text = pattern(60'000);
  REQUIRE(rig.write(stream, text) == text.size());
  rig.mux.leases().finish_writing(stream);
  const auto before = rig.network[0].wire.size();
  const auto first = rig.network[0].sending->size();
  rig.accept_all(0);
  CHECK(rig.network[0].wire.size() == before + first + test::kPlainHeaderBytes);
  CHECK(rig.session(0).lease.said_close_notify);
}

TEST_CASE("stream.a host that finishes first still hears the stream, and its session is no other stream's") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.say_close_notify(0);
  rig.say_close_notify(0);
  CHECK(rig.holders[stream].host_finished);
  CHECK(rig.write(stream, "bye") == 3);
  rig.accept_all(0);
  CHECK(rig.heard_raw(0) == "bye");
  rig.give_back(stream);
  rig.mux.flush();
  CHECK(rig.network[0].stage == Stage::closing);
}

TEST_CASE("stream.a host that closes without close_notify has cut the stream off") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.lose(0);
  CHECK(rig.state(stream) == "lost host_closed");
  CHECK(rig.upstream().last_error_reason == shm::Reason::host_closed);
}
