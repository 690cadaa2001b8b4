// How message streams end.

#include <doctest/doctest.h>

#include "tests/streams/stream_rig.hpp"

using namespace tlsmux;
using test::by_key;
using test::for_two_groups;
using test::framed;
using test::framed_all;
using test::in_order;
using test::OneStream;
using test::StreamRig;

TEST_CASE("stream.one that is ended within a message is lost") {
  OneStream one(in_order());
  one.write(framed("whole") + std::string("\0\7par", 5));
  one.rig.shut_down(one.stream);
  CHECK(one.read().is_lost);
  CHECK(one.read().reason == shm::Reason::unparsable);
  CHECK(one.read().maybe_sent);  // the whole one
  CHECK(one.rig.is_gone(one.stream));
}

TEST_CASE("stream.bytes that are no message end the stream after the answers that had come") {
  auto config = in_order();
  config.upstreams[0].framing.message_bytes_max = 100;
  OneStream one(config);
  one.write(framed("good"));
  CHECK(one.asked().size() == 1);
  one.answer("fine");
  one.write("\177\177 too long");
  CHECK(one.read().data == framed("fine"));
  CHECK(one.read().is_lost);
  CHECK(one.read().reason == shm::Reason::unparsable);
  CHECK_FALSE(one.read().maybe_sent);
  CHECK(one.rig.is_gone(one.stream));
}

TEST_CASE("stream.it is lost when its session is, with what is known of its messages") {
  OneStream one(in_order());
  one.write(framed_all({"1", "2"}));
  CHECK(one.asked().size() == 2);
  one.answer("A1");
  one.rig.rig.lose(0, ECONNRESET);
  one.rig.turn();
  CHECK(one.read().data == framed("A1"));
  CHECK(one.read().is_lost);
  CHECK(one.read().reason == shm::Reason::connection_lost);
  CHECK(one.read().maybe_sent);
  CHECK(one.rig.is_gone(one.stream));
  CHECK(one.rig.rig.is_clean());
  CHECK(one.rig.streams.counts(0).lost == 1);
}

TEST_CASE("stream.what did not leave goes to the next session, and the stream notices nothing") {
  OneStream one(in_order());
  one.write(framed("1"));  // sealed, and not accepted
  one.rig.rig.mux.ended(one.rig.rig.network[0].id, ECONNRESET);
  one.rig.rig.finish_close(0);
  one.rig.advance_ms(60'000 / 1000);
  one.rig.rig.advance_to_due();
  one.rig.rig.bring_up_all();
  one.rig.turn();
  CHECK(one.asked() == std::vector<std::string>{"1"});
  one.answer("A1");
  CHECK(one.read().data == framed("A1"));
  CHECK_FALSE(one.read().is_lost);
}

TEST_CASE("stream.a key that is in flight already ends the stream, not the other's message") {
  StreamRig rig(by_key(config::StreamOrder::as_answered));
  rig.rig.bring_up_all();
  const auto first = rig.open({.pid = 1});
  const auto second = rig.open({.pid = 2});
  rig.write(first, framed("0001 first"));
  rig.write(second, framed("0001 second"));
  rig.read(second);
  CHECK(rig.heard(second).is_lost);
  CHECK(rig.heard(second).reason == shm::Reason::duplicate_key);
  CHECK_FALSE(rig.heard(second).maybe_sent);
  rig.rig.accept_all(0);
  rig.rig.say(0, "0001 FIRST");
  rig.turn();
  rig.read(first);
  CHECK(rig.heard(first).data == framed("0001 FIRST"));
  CHECK_FALSE(rig.heard(first).is_lost);
}

TEST_CASE("stream.a refused message says so when another of its stream may have been sent") {
  OneStream one(by_key(config::StreamOrder::as_answered));
  one.write(framed("0001 a"));
  CHECK(one.asked().size() == 1);
  one.write(framed("0001 a"));
  CHECK(one.read().reason == shm::Reason::duplicate_key);
  CHECK(one.read().maybe_sent);
  CHECK(one.rig.is_gone(one.stream));
  // The host may still answer the first: its key is taken until then.
  CHECK(one.rig.rig.counters().maybe_sent[static_cast<std::size_t>(shm::Reason::cancelled)] == 1);
  one.answer("0001 late");
  CHECK(one.rig.rig.notices.late_ones.size() == 1);
  CHECK(one.rig.rig.is_clean());
}

TEST_CASE("stream.an answer that waits for an earlier one counts as one that the process did not get") {
  OneStream one(by_key(config::StreamOrder::as_asked));
  one.write(framed_all({"0001 a", "0002 b"}));
  CHECK(one.asked().size() == 2);
  one.answer("0002 B");
  one.rig.rig.lose(0);
  one.rig.turn();
  CHECK(one.read().data.empty());
  CHECK(one.read().is_lost);
  CHECK(one.read().maybe_sent);
}

TEST_CASE("stream.a message's deadline ends the stream") {
  OneStream one(in_order());
  one.write(framed("1"));
  CHECK(one.asked().size() == 1);
  one.rig.advance_ms(one.rig.rig.config.upstreams[0].timeouts.request_ms);
  CHECK(one.read().is_lost);
  CHECK(one.read().reason == shm::Reason::deadline);
  CHECK(one.read().maybe_sent);
}

TEST_CASE("stream.what a process writes to a lost stream does not keep it waiting") {
  OneStream one(in_order());
  one.write(framed("1"));
  CHECK(one.asked().size() == 1);
  one.rig.rig.lose(0);
  one.rig.turn();
  for (int i = 0; i < 10; ++i) one.write(framed(std::string(1000, 'x')));
  CHECK(one.rig.rig.mux.requests_held() == 0);
  CHECK(one.read().is_lost);
  CHECK(one.rig.is_gone(one.stream));
}

TEST_CASE("stream.keep-alives of the process are answered and go no further") {
  auto config = in_order();
  config.upstreams[0].framing.keep_alive = config::KeepAlive::echo;
  OneStream one(config);
  one.write(std::string(2, '\0') + framed("1") + std::string(4, '\0'));
  CHECK(one.asked() == std::vector<std::string>{"1"});
  CHECK(one.read().data == std::string(6, '\0'));
}

TEST_CASE("stream.a process that is gone gives up its messages") {
  OneStream one(in_order());
  one.write(framed_all({"1", "2"}));
  CHECK(one.asked().size() == 2);
  one.rig.vanish(one.stream);  // as a half close, first
  one.answer("A1");
  one.rig.vanish(one.stream);  // the answer finds nobody
  CHECK(one.rig.is_gone(one.stream));
  CHECK(one.rig.rig.counters().answered == 1);
  CHECK(one.rig.rig.counters().maybe_sent[static_cast<std::size_t>(shm::Reason::cancelled)] == 1);
  one.answer("A2");
  CHECK(one.rig.rig.is_clean());
}

TEST_CASE("stream.when the engine drains, what is in flight is answered and then the stream ends") {
  OneStream one(in_order());
  one.write(framed("1"));
  CHECK(one.asked().size() == 1);
  one.rig.rig.mux.drain();
  one.rig.streams.drain();
  one.rig.turn();
  CHECK_FALSE(one.read().is_lost);
  one.answer("A1");
  CHECK(one.read().data == framed("A1"));
  CHECK(one.read().is_lost);
  CHECK(one.read().reason == shm::Reason::engine_draining);
  CHECK_FALSE(one.read().maybe_sent);
  CHECK(one.rig.is_gone(one.stream));
}

TEST_CASE("stream.one that waits is refused when the engine drains") {
  StreamRig rig(in_order());
  const auto stream = rig.open();
  rig.rig.mux.drain();
  rig.streams.drain();
  rig.turn();
  rig.read(stream);
  CHECK(rig.heard(stream).is_refused);
  CHECK(rig.heard(stream).reason == shm::Reason::engine_draining);
}

TEST_CASE("stream.what was lost in the turn in which the engine ends all may have been sent") {
  OneStream one(in_order());
  one.write(framed("1"));
  CHECK(one.asked().size() == 1);
  one.rig.rig.lose(0, ECONNRESET);
  one.rig.streams.end_all(shm::Reason::engine_draining);
  one.rig.turn();
  CHECK(one.read().is_lost);
  CHECK(one.read().maybe_sent);
  CHECK(one.rig.is_gone(one.stream));
}

TEST_CASE("stream.all end when the engine has no more patience") {
  OneStream one(in_order());
  one.write(framed("1"));
  CHECK(one.asked().size() == 1);
  one.rig.streams.end_all(shm::Reason::engine_draining);
  one.rig.turn();
  CHECK(one.read().is_lost);
  CHECK(one.read().maybe_sent);
  CHECK(one.rig.is_gone(one.stream));
  CHECK(one.rig.count() == 0);
}

TEST_CASE("stream.those of an upstream that is removed, or of a group that is shut out, end with a reason") {
  auto config = in_order();
  config.groups.push_back({.name = "other", .users = {}, .unix_groups = {}, .memory = {}, .orphans = {}});
  StreamRig rig(config);
  rig.rig.bring_up_all();
  const auto mine = rig.open();
  const auto theirs = rig.open({.pid = 2, .group = 1});
  rig.streams.shut_out(0, 1);
  rig.turn();
  rig.read(mine);
  rig.read(theirs);
  CHECK_FALSE(rig.heard(mine).is_lost);
  CHECK(rig.heard(theirs).is_lost);
  CHECK(rig.heard(theirs).reason == shm::Reason::upstream_removed);
  rig.streams.leave_upstream(0, shm::Reason::upstream_draining);
  rig.turn();
  rig.read(mine);
  CHECK(rig.heard(mine).reason == shm::Reason::upstream_draining);
}

TEST_CASE("stream.a group that opens as many as it can leaves the others their part of them") {
  auto config = for_two_groups(in_order());
  config.upstreams[0].streams.open_max = 8;  // two of them are guaranteed to each group
  StreamRig rig(config);
  rig.rig.bring_up_all();
  const auto why_full = [&](std::uint32_t group, std::uint32_t pid) {
    return rig.streams.why_full({.upstream = 0, .group = group, .pid = pid}).value_or("");
  };
  // A process for each, since one may have only as many as are left for others.
  for (std::uint32_t pid = 1; pid <= 6; ++pid) {
    CHECK(why_full(0, pid).empty());
    rig.open({.pid = pid});
  }
  CHECK(why_full(0, 7).contains("is kept for other groups"));
  for (std::uint32_t pid = 1; pid <= 2; ++pid) {
    CHECK(why_full(1, pid).empty());
    rig.open({.pid = pid, .group = 1});
  }
  CHECK(why_full(1, 3).contains("has all its 8 streams"));
}

TEST_CASE("stream.an upstream has no more streams than it may, and a process no more than are left for all others") {
  auto config = in_order();
  config.upstreams[0].streams.open_max = 4;
  StreamRig rig(config);
  rig.rig.bring_up_all();
  const auto may_open = [&](std::uint32_t pid) { return !rig.streams.why_full({.upstream = 0, .pid = pid}); };
  const auto first = rig.open({.pid = 1});
  CHECK(may_open(1));
  rig.open({.pid = 1});
  CHECK(may_open(1));
  rig.open({.pid = 1});
  CHECK_FALSE(may_open(1));  // the last one is another's
  CHECK(may_open(2));
  rig.open({.pid = 2});
  CHECK_FALSE(may_open(2));
  rig.shut_down(first);
  rig.read(first);
  CHECK(rig.is_gone(first));
  CHECK(may_open(2));
  CHECK(rig.streams.counts(0).open == 3);
  CHECK(rig.streams.counts(0).opened == 4);
}

TEST_CASE("stream.processes have numbers of their own among those who ask") {
  engine::streams::ProcessNumbers numbers;
  const auto first = numbers.take({.pid = 1, .uid = 0, .group = 0});
  CHECK(numbers.take({.pid = 1, .uid = 0, .group = 0}) == first);
  const auto in_other_group = numbers.take({.pid = 1, .uid = 0, .group = 1});
  CHECK(in_other_group != first);
  for (std::uint32_t client = 0; client < 8; ++client) {
    CHECK(engine::streams::turn_of_client(client) != first);
    CHECK(engine::streams::turn_of_client(client) != in_other_group);
  }
  numbers.give_back({.pid = 1, .uid = 0, .group = 0});
  CHECK(numbers.take({.pid = 2, .uid = 0, .group = 0}) != first);
  numbers.give_back({.pid = 1, .uid = 0, .group = 0});
  CHECK(numbers.take({.pid = 3, .uid = 0, .group = 0}) == first);
}
