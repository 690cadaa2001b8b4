// What a host says that no stream has asked for.
#include <doctest/doctest.h>

#include "tests/mux/lease_rig.hpp"

using namespace tlsmux;
using config::FramingKind;
using config::StreamReuse;
using test::frame;
using test::lease_config;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

TEST_CASE("stream.what the host sends to a session that nobody has closes it") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto stream = rig.lease();
  rig.write(stream, frame("question"));
  rig.accept_all(0);
  rig.say(0, "answer");
  rig.give_back(stream);
  REQUIRE(rig.session(0).is_up());
  rig.say(0, "another");
  CHECK(rig.network[0].stage == Stage::closing);
  CHECK(rig.notices.unsolicited_ones.empty());
  const auto next = rig.lease();
  rig.finish_close(0, rig.network[0].sending->size());
  rig.mux.flush();
  rig.bring_up_all();
  CHECK(rig.state(next) == "open");
  CHECK(rig.holders[next].received.empty());
  CHECK(rig.upstream().last_error.empty());
}

TEST_CASE("stream.what the host sends before a stream has asked is no answer where others have had the session") {
  struct Case {
    FramingKind framing;
    bool is_last_word;  // as of a server that says 408 (Request Timeout) and closes
  };
  using enum FramingKind;
  for (const auto& [framing, is_last_word] : {Case{http1, false}, {http1, true}, {none, false}, {none, true}}) {
    CAPTURE(static_cast<int>(framing));
    CAPTURE(is_last_word);
    auto config = lease_config(1, 0, framing);
    config.upstreams[0].streams.reuse = StreamReuse::always;
    MuxRig rig(config);
    rig.bring_up_all();
    const auto first = rig.lease();
    rig.give_back(first);
    const auto second = rig.lease();
    REQUIRE(rig.state(second) == "open");
    std::vector<std::byte> records;
    test::PlainTlsHost::seal(test::to_bytes("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"), records);
    if (is_last_word) test::PlainTlsHost::close_notify(records);
    rig.receive(0, records);
    REQUIRE(rig.network[0].stage == Stage::closing);
    rig.finish_close(0, rig.network[0].sending->size());
    rig.mux.flush();
    CHECK(rig.holders[second].received.empty());
    CHECK(rig.state(second) == "lost stream_corrupt");
    CHECK_FALSE(rig.upstream().endpoints[0].is_out());
  }
}

TEST_CASE("stream.a host may speak first on a session that nobody else has had") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  rig.bring_up_all();
  const auto stream = rig.lease();
  test::say_text(rig, 0, "220 at your service");
  CHECK(rig.holders[stream].received == "220 at your service");
}

TEST_CASE("stream.a host that speaks first is heard by the first stream, and by no other") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  rig.bring_up_all();
  test::say_text(rig, 0, "220 at your ");
  test::say_text(rig, 0, "service");
  const auto first = rig.lease();
  CHECK(rig.holders[first].received == "220 at your service");
  rig.give_back(first);
  CHECK_FALSE(rig.session(0).is_up());  // it has been heard
}

TEST_CASE("stream.a host that speaks first without end is not listened to") {
  MuxRig rig(lease_config(1, 0, FramingKind::none));
  rig.bring_up_all();
  for (int i = 0; i < 16; ++i) test::say_text(rig, 0, std::string(1024, 'x'));
  CHECK(rig.session(0).is_up());
  test::say_text(rig, 0, "x");
  CHECK(rig.network[0].stage == Stage::closing);
}
