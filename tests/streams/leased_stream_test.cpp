#include <doctest/doctest.h>

#include <cerrno>

#include "tests/streams/stream_rig.hpp"

using namespace tlsmux;
using test::framed;
using test::OneStream;
using test::StreamRig;

namespace {

// By choice, with messages of two-byte lengths.
config::Config leased(config::StreamReuse reuse = config::StreamReuse::at_boundary) {
  auto config = test::fifo_config();
  config.upstreams[0].streams.kind = config::StreamKind::leased;
  config.upstreams[0].streams.reuse = reuse;
  return config;
}

}  // namespace

TEST_CASE("stream.a leased stream has a session for itself, and bytes go both ways as they are") {
  OneStream one(leased());
  CHECK(one.is_leased());
  one.rig.write(one.stream, framed("half").substr(0, 3));
  CHECK(one.asked_raw() == framed("half").substr(0, 3));
  one.rig.write(one.stream, framed("half").substr(3));
  CHECK(one.asked_raw() == framed("half").substr(3));
  one.host_says(framed("answer").substr(0, 2));
  one.host_says(framed("answer").substr(2));
  CHECK(one.read().data == framed("answer"));
}

TEST_CASE("stream.a leased session that stands at a boundary is the next stream's") {
  OneStream one(leased());
  one.rig.write(one.stream, framed("q"));
  CHECK(one.asked_raw() == framed("q"));
  one.host_says(framed("a"));
  CHECK(one.read().data == framed("a"));
  one.rig.vanish(one.stream);
  CHECK(one.rig.is_gone(one.stream));
  CHECK_FALSE(one.is_leased());
  const auto next = one.rig.open({.pid = 2});
  one.rig.read(next);
  CHECK(one.rig.heard(next).is_opened);
  CHECK(one.is_leased());
  CHECK(one.rig.heard(next).data.empty());
}

TEST_CASE("stream.a process that dies within a message takes its session with it") {
  OneStream one(leased());
  one.rig.write(one.stream, framed("question").substr(0, 4));
  CHECK(one.asked_raw().size() == 4);
  one.rig.vanish(one.stream);
  CHECK(one.rig.is_gone(one.stream));
  CHECK_FALSE(one.rig.rig.session(0).is_up());
}

TEST_CASE("stream.a process that writes no more is still answered, and then its stream closes") {
  OneStream one(leased());
  one.rig.write(one.stream, framed("q"));
  one.rig.shut_down(one.stream);
  CHECK(one.asked_raw() == framed("q"));
  CHECK_FALSE(one.read().is_closed);
  CHECK(one.is_leased());
  one.host_says(framed("a"));
  CHECK(one.read().data == framed("a"));
  CHECK(one.read().is_closed);
  CHECK(one.rig.is_gone(one.stream));
  CHECK_FALSE(one.is_leased());
}

TEST_CASE("stream.a process that writes no more within a message is owed nothing for it") {
  OneStream one(leased());
  one.rig.write(one.stream, framed("q") + framed("half").substr(0, 3));
  one.rig.shut_down(one.stream);
  CHECK(one.asked_raw() == framed("q") + framed("half").substr(0, 3));
  CHECK_FALSE(one.read().is_closed);
  one.host_says(framed("a"));
  CHECK(one.read().data == framed("a"));
  CHECK(one.read().is_closed);
  CHECK(one.rig.is_gone(one.stream));
  CHECK_FALSE(one.rig.rig.session(0).is_up());
}

TEST_CASE(
    "stream.a TCP socket is asked every ten seconds whether its process is still there, while an answer is due to it") {
  for (const bool is_tcp : {false, true}) {
    OneStream one(leased(), !is_tcp);
    one.rig.write(one.stream, framed("q"));
    CHECK(one.asked_raw() == framed("q"));
    CHECK(one.read().records == 1);
    one.rig.shut_down(one.stream);
    CHECK(one.read().records == (is_tcp ? 2 : 1));
    one.host_says(framed("a").substr(0, 2));
    CHECK(one.read().records == (is_tcp ? 3 : 2));
    CHECK(one.read().data == framed("a").substr(0, 2));
    one.rig.advance_ms(9'999);
    CHECK(one.read().records == (is_tcp ? 3 : 2));
    one.rig.advance_ms(1);
    CHECK(one.read().records == (is_tcp ? 4 : 2));
    one.rig.vanish(one.stream);
    CHECK(one.rig.is_gone(one.stream));
    CHECK_FALSE(one.rig.rig.session(0).is_up());
  }
}

TEST_CASE("stream.a process that does not read stops its host") {
  auto config = leased();
  config.upstreams[0].streams.buffer_bytes = 16'384;
  OneStream one(config);
  one.rig.write(one.stream, framed("q"));
  CHECK(one.asked_raw() == framed("q"));
  const std::string block(10'000, 'b');
  one.host_says(block);
  CHECK_FALSE(one.rig.rig.network[0].held);
  one.host_says(block);
  CHECK(one.rig.rig.network[0].held);
  one.rig.read(one.stream, 1000);
  CHECK(one.rig.rig.network[0].held);
  CHECK(one.read().data.size() == 20'000);
  CHECK_FALSE(one.rig.rig.network[0].held);
}

TEST_CASE("stream.a host that takes no bytes stops the process") {
  OneStream one(leased());
  const std::string block(16'000, 'w');
  std::size_t written = 0;
  while (one.rig.is_received(one.stream)) {
    REQUIRE(written < 10'000'000);
    one.rig.write(one.stream, block);
    written += block.size();
  }
  CHECK(written <= 64 * 1024 + 2 * block.size());
  std::string heard;
  while (heard.size() < written) heard += one.asked_raw();
  CHECK(heard == std::string(written, 'w'));
  CHECK(one.rig.is_received(one.stream));
}

TEST_CASE("stream.a leased stream is lost with its session") {
  OneStream one(leased());
  one.rig.write(one.stream, framed("q"));
  CHECK(one.asked_raw() == framed("q"));
  one.rig.rig.lose(0, ECONNRESET);
  one.rig.turn();
  CHECK(one.read().is_lost);
  CHECK(one.read().maybe_sent);
  CHECK(one.read().reason == shm::Reason::connection_lost);
  CHECK(one.rig.is_gone(one.stream));
  CHECK(one.rig.count() == 0);
}

TEST_CASE("stream.a leased stream that waits is refused with why") {
  StreamRig rig(leased());
  rig.rig.connect(0, ECONNREFUSED);
  rig.rig.finish_close(0);
  const auto stream = rig.open();
  rig.read(stream);
  CHECK(rig.heard(stream).is_refused);
  CHECK(rig.heard(stream).reason == shm::Reason::connect_refused);
  CHECK(rig.is_gone(stream));
}

TEST_CASE("stream.one of a group that is shut out loses its session at once") {
  OneStream one(leased());
  one.rig.streams.shut_out(0, 0);
  one.rig.turn();
  CHECK(one.read().is_lost);
  CHECK(one.read().reason == shm::Reason::upstream_removed);
  CHECK(one.rig.is_gone(one.stream));
  CHECK_FALSE(one.is_leased());
}

TEST_CASE("stream.the socket of one that is lost is reset, and of one that the host has ended it is not") {
  for (const int error : {0, ECONNRESET}) {
    CAPTURE(error);
    OneStream one(leased());
    one.rig.write(one.stream, framed("q"));
    one.rig.rig.lose(0, error);
    one.rig.turn();
    CHECK(one.read().is_lost);
    const auto& socket = one.rig.sockets.sockets.at(one.stream.index);
    REQUIRE(socket.closing);
    CHECK(socket.is_reset == (error != 0));
  }
}

TEST_CASE("stream.at the very end sockets are closed whose process does not read") {
  OneStream one(leased());
  one.rig.streams.end_all(shm::Reason::engine_draining);
  one.rig.turn();
  REQUIRE(one.rig.sockets.sockets.at(one.stream.index).sending.has_value());
  CHECK(one.rig.count() == 1);
  one.rig.streams.close_sockets();
  one.rig.streams.close_sockets();
  CHECK(one.rig.is_gone(one.stream));
  CHECK(one.rig.count() == 0);
}

TEST_CASE("stream.an end that no session explains is an event, and any other is not") {
  using engine::mux::EventKind;
  OneStream one(leased());
  const auto waits = one.rig.open({.pid = 7, .wait_ms = 50});
  CHECK(one.rig.rig.events.count(EventKind::stream_ended) == 0);
  one.rig.advance_ms(50);
  one.rig.read(waits);
  REQUIRE(one.rig.heard(waits).is_refused);
  CHECK(one.rig.rig.events.count(EventKind::stream_ended) == 1);
  CHECK(one.rig.rig.events.last().group == "group");
  one.rig.streams.turn_away({.number = 9, .upstream = 0, .pid = 8}, "there is no room");
  CHECK(one.rig.rig.events.count(EventKind::stream_ended) == 2);
  CHECK(one.rig.rig.events.last().group == "group");
  CHECK(one.rig.streams.counts(0).refused == 2);
  one.rig.rig.lose(0, ECONNRESET);
  one.rig.turn();
  REQUIRE(one.read().is_lost);
  CHECK(one.rig.rig.events.count(EventKind::stream_ended) == 2);
}

TEST_CASE(
    "stream.a process that has not read its answer takes the session with it where none can tell what is left of it") {
  for (const int error : {EPIPE, ECONNRESET}) {
    CAPTURE(error);
    auto config = leased(config::StreamReuse::always);
    config.upstreams[0].framing.kind = config::FramingKind::none;
    OneStream one(config);
    one.rig.write(one.stream, "question");
    CHECK(one.asked_raw() == "question");
    one.host_says("half an ans");
    CHECK(one.read().data == "half an ans");
    one.rig.streams.socket_failed(one.stream, error);
    one.rig.turn();
    CHECK(one.rig.rig.session(0).is_up() == (error == EPIPE));
  }
}
