// Sessions for streams: who gets which, how the pool grows with them, and who is refused.
#include <doctest/doctest.h>

#include "tests/mux/lease_rig.hpp"
#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using engine::mux::EventKind;
using engine::mux::StreamId;
using shm::SessionState;
using test::for_two_groups;
using test::frame;
using test::lease_config;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

void refuse_connect(MuxRig& rig, std::size_t session) {
  rig.connect(session, ECONNREFUSED);
  rig.finish_close(session);
  rig.mux.flush();
}

}  // namespace

TEST_CASE("stream.a session that is ready is granted at once, and is one stream's alone") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto first = rig.lease();
  CHECK(rig.state(first) == "open");
  const auto second = rig.lease();
  CHECK(rig.state(second) == "waits");
  CHECK(rig.mux.requests_left() == 2);
  rig.write(first, frame("question"));
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"question"});
  rig.say(0, "answer");
  CHECK(rig.holders[first].received == frame("answer"));
  CHECK(rig.holders[second].received.empty());
  rig.give_back(first);
  CHECK(rig.state(second) == "open");
  CHECK(rig.session_of(second) == 0);
  CHECK(rig.network.dialled().size() == 1);
  CHECK(rig.session(0).requests == 2);
  rig.give_back(second);
  CHECK(rig.mux.requests_left() == 0);
}

TEST_CASE("stream.of several sessions the one that was used last is granted") {
  MuxRig rig(lease_config(3));
  rig.bring_up_all();
  const StreamId streams[] = {rig.lease(), rig.lease(), rig.lease()};
  std::size_t sessions[3];
  for (std::size_t i = 0; i < 3; ++i) sessions[i] = rig.session_of(streams[i]);
  for (const auto i : {2, 0, 1}) {
    rig.advance_ms(1);
    rig.give_back(streams[i]);
  }
  for (const auto i : {1, 0, 2}) CHECK(rig.session_of(rig.lease()) == sessions[i]);
}

TEST_CASE("stream.the pool grows by one for each stream that waits, up to sessions_max") {
  MuxRig rig(lease_config(1, 3));
  rig.bring_up_all();
  const auto first = rig.lease();
  CHECK(rig.starting() == 0);
  const auto second = rig.lease();
  CHECK(rig.starting() == 1);
  const auto third = rig.lease();
  CHECK(rig.starting() == 2);
  const auto fourth = rig.lease();
  rig.bring_up_all();
  CHECK(rig.starting() == 0);
  CHECK(rig.count(SessionState::ready) == 3);
  for (const auto stream : {first, second, third}) CHECK(rig.state(stream) == "open");
  CHECK(rig.state(fourth) == "waits");
  rig.give_back(second);
  CHECK(rig.state(fourth) == "open");
  CHECK(rig.network.dialled().size() == 3);
}

TEST_CASE("stream.with no sessions kept up, one comes when a stream wants it, and goes when it has lain idle") {
  MuxRig rig(lease_config(0, 2));
  CHECK(rig.network.dialled().empty());
  const auto stream = rig.lease();
  CHECK(rig.starting() == 1);
  rig.bring_up_all();
  CHECK(rig.state(stream) == "open");
  rig.give_back(stream);
  CHECK(rig.count(SessionState::ready) == 1);
  rig.advance_ms(3'999);
  CHECK(rig.session(0).is_up());
  rig.advance_to_due();
  REQUIRE(rig.network[0].stage == Stage::closing);
  rig.finish_close(0, rig.network[0].sending->size());
  rig.advance_ms(60'000);
  CHECK(rig.count(SessionState::none) == rig.network.size());
  CHECK(rig.network.dialled().size() == 1);
  CHECK(rig.upstream().last_error.empty());
}

TEST_CASE("stream.who waits is refused at once with the pool's last error when there is no hope") {
  MuxRig rig(lease_config(1));
  const auto early = rig.lease();
  CHECK(rig.state(early) == "waits");
  refuse_connect(rig, 0);
  CHECK(rig.state(early) == "refused connect_refused");
  CHECK(rig.holders[early].words.find("Connection refused") != std::string::npos);
  const auto late = rig.lease();
  CHECK(rig.state(late) == "refused connect_refused");
  rig.advance_to_due();
  rig.bring_up_all();
  CHECK(rig.state(rig.lease()) == "open");
}

TEST_CASE("stream.with no sessions kept up, a failed endpoint is tried again for a stream, not before its time") {
  MuxRig rig(lease_config(0, 2));
  const auto first = rig.lease();
  refuse_connect(rig, 0);
  CHECK(rig.state(first) == "refused connect_refused");
  CHECK(rig.state(rig.lease()) == "refused connect_refused");
  CHECK(rig.network.dialled().size() == 1);
  rig.advance_ms(100);
  CHECK(rig.network.dialled().size() == 1);  // nobody wants it
  const auto second = rig.lease();
  CHECK(rig.state(second) == "waits");
  REQUIRE(rig.starting() == 1);
  const auto third = rig.lease();
  CHECK(rig.state(third) == "waits");
  rig.bring_up_all();
  CHECK(rig.state(second) == "open");
  rig.bring_up_all();
  CHECK(rig.state(third) == "open");
}

TEST_CASE("stream.who has waited for wait_ms is told why") {
  MuxRig rig(lease_config(1));
  SUBCASE("other streams have all sessions") {
    rig.bring_up_all();
    rig.lease();
    const auto stream = rig.lease(0, 50);
    rig.advance_ms(49);
    CHECK(rig.state(stream) == "waits");
    rig.advance_to_due();
    CHECK(rig.state(stream) == "refused overload");
    CHECK(rig.holders[stream].words ==
          "other streams have all sessions of the upstream (1): raise its sessions_max in the configuration");
  }
  SUBCASE("none has come up") {
    const auto stream = rig.lease(0, 50);
    const auto patient = rig.lease(0, 70);
    rig.advance_ms(50);
    CHECK(rig.state(stream) == "refused no_session");
    CHECK(rig.state(patient) == "waits");
    rig.bring_up_all();
    CHECK(rig.state(patient) == "open");
  }
  SUBCASE("the upstream's own time is taken if the stream brings none") {
    const auto stream = rig.lease();
    rig.advance_ms(4'000);
    CHECK(rig.state(stream) == "waits");
    rig.advance_ms(6'000);
    CHECK(rig.holders[stream].over);
  }
}

TEST_CASE("stream.who waits while there is room for more sessions, and none comes up, is not told to make room") {
  MuxRig rig(lease_config(1, 2));
  rig.bring_up_all();
  rig.lease();
  const auto stream = rig.lease(0, 50);
  rig.advance_ms(50);
  CHECK(rig.state(stream) == "refused overload");
  CHECK(rig.holders[stream].words == "no session became free in time, and no further one came up");
}

TEST_CASE("stream.groups that wait have their turns, and within a group who came first is first") {
  MuxRig rig(for_two_groups(lease_config(1)));
  rig.bring_up_all();
  auto holder = rig.lease(0);
  std::vector<StreamId> many;
  for (int i = 0; i < 5; ++i) many.push_back(rig.lease(0));
  const StreamId few[] = {rig.lease(1), rig.lease(1)};
  std::vector<StreamId> order;
  for (int i = 0; i < 7; ++i) {
    rig.give_back(holder);
    for (const auto& streams : {std::span<const StreamId>(many), std::span<const StreamId>(few)}) {
      for (const auto stream : streams) {
        if (rig.session_of(stream) == 0) holder = stream;
      }
    }
    order.push_back(holder);
  }
  CHECK(order == std::vector{few[0], many[0], few[1], many[1], many[2], many[3], many[4]});
}

TEST_CASE("stream.a group that keeps its sessions leaves the others their part of them") {
  MuxRig rig(for_two_groups(lease_config(4)));  // one of them is guaranteed to each
  rig.bring_up_all();
  std::vector<StreamId> greedy;
  for (int i = 0; i < 4; ++i) greedy.push_back(rig.lease(0, 1'000));
  for (int i = 0; i < 3; ++i) CHECK(rig.state(greedy[i]) == "open");
  CHECK(rig.state(greedy[3]) == "waits");
  SUBCASE("and they get it at once") {
    const auto mine = rig.lease(1);
    CHECK(rig.state(mine) == "open");
    CHECK(rig.state(rig.lease(1)) == "waits");
    rig.give_back(mine);
    CHECK(rig.state(greedy[3]) == "waits");
  }
  SUBCASE("and has another one when it gives one back") {
    rig.give_back(greedy[0]);
    CHECK(rig.state(greedy[3]) == "open");
  }
  SUBCASE("and waits in vain if it does not") {
    rig.advance_ms(1'000);
    CHECK(rig.state(greedy[3]) == "refused overload");
    CHECK(rig.holders[greedy[3]].words ==
          "what is left of the upstream's 4 sessions is kept for other groups: raise its sessions_max in the "
          "configuration");
  }
  SUBCASE("and is refused as all are when the upstream goes") {
    rig.mux.drain_upstream(0, 5'000);
    rig.mux.flush();
    CHECK(rig.state(greedy[3]) == "refused upstream_draining");
  }
  SUBCASE("but not one that may not use the upstream any more") {
    rig.mux.shut_out_groups(0, {false, true});
    auto settings = rig.config.upstreams[0];
    settings.groups.pop_back();
    rig.mux.change_upstream(0, std::make_shared<const config::UpstreamSettings>(settings), nullptr, false);
    rig.mux.flush();
    CHECK(rig.state(greedy[3]) == "open");
  }
}

TEST_CASE("stream.who goes away while it waits is not told anything, and costs nobody a turn") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  const auto holder = rig.lease();
  const auto gone = rig.lease();
  const auto next = rig.lease();
  rig.give_back(gone);
  rig.give_back(gone);
  rig.give_back(holder);
  CHECK(rig.state(gone) == "waits");
  CHECK(rig.state(next) == "open");
}

TEST_CASE("stream.a program that offers protocols gets a session that speaks one of them") {
  MuxRig rig(lease_config(1));
  test::TlsScript script{.open_error = {}};
  script.facts.alpn = "http/1.1";
  test::bring_up_scripted(rig, 0, script);
  const auto refused = rig.lease(0, 0, "\x02h2\x06http/1");
  CHECK(rig.state(refused) == "refused handshake_failed");
  const auto stream = rig.lease(0, 0, "\x02h2\x08http/1.1");
  CHECK(rig.state(stream) == "open");
  CHECK(rig.state(rig.lease(0, 0, "\x02h2")) == "refused handshake_failed");
  rig.give_back(stream);
  CHECK(rig.state(rig.lease()) == "open");
}

TEST_CASE("stream.a list of protocols that ends early is no protocol") {
  MuxRig rig(lease_config(1));
  test::TlsScript script{.open_error = {}};
  script.facts.alpn = "h2";
  test::bring_up_scripted(rig, 0, script);
  CHECK(rig.state(rig.lease(0, 0, "\x09h2")) == "refused handshake_failed");
}

TEST_CASE("stream.an upstream whose sessions are leased takes no requests") {
  MuxRig rig(lease_config(1));
  rig.bring_up_all();
  CHECK(rig.outcome(rig.ask("question")) == "not_sent upstream_removed");
  CHECK(rig.network[0].sends == 1);  // the hello
}

TEST_CASE("stream.a session without use is kept, one that was used is replaced after idle_max_ms") {
  auto config = lease_config(1);
  SUBCASE("4 s") { config.upstreams[0].streams.idle_max_ms = 4'000; }
  SUBCASE("never") { config.upstreams[0].streams.idle_max_ms = 0; }
  MuxRig rig(config);
  rig.bring_up_all();
  rig.advance_ms(3'600'000);
  CHECK(rig.network.dialled().size() == 1);
  const auto stream = rig.lease();
  REQUIRE(rig.state(stream) == "open");
  rig.advance_ms(10'000);  // in use it does not age
  rig.give_back(stream);
  REQUIRE(rig.session(0).is_up());
  rig.advance_ms(4'000);
  if (config.upstreams[0].streams.idle_max_ms == 0) {
    CHECK(rig.session(0).is_up());
    return;
  }
  REQUIRE(rig.network[0].stage == Stage::closing);
  CHECK(rig.state(rig.lease()) == "waits");
  rig.finish_close(0, rig.network[0].sending->size());
  rig.mux.flush();
  CHECK(rig.starting() == 1);
  CHECK(rig.events.last().kind == EventKind::session_closed);
}

TEST_CASE("stream.sessions beyond those kept up end after session_idle_ms, used or not") {
  auto config = lease_config(0, 2);
  config.upstreams[0].streams.idle_max_ms = 0;
  MuxRig rig(config);
  const auto gone = rig.lease();
  rig.give_back(gone);
  rig.bring_up_all();
  CHECK(rig.session(0).is_up());
  rig.advance_ms(59'999);
  CHECK(rig.session(0).is_up());
  rig.advance_ms(1);
  CHECK(rig.network[0].stage == Stage::closing);
}
