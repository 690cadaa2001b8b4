// How sessions come up, fail, and try again.
#include <doctest/doctest.h>

#include <set>

#include "tests/mux/scripted_tls.hpp"

using namespace tlsmux;
using engine::mux::Address;
using engine::mux::EventKind;
using shm::Reason;
using shm::SessionState;
using test::MuxRig;
using Stage = test::FakeNetwork::Stage;

namespace {

Address address(std::string_view host, std::uint16_t port) { return *engine::mux::parse_literal(host, port); }

config::Config named_config() {
  auto config = test::keyed_config();
  config.upstreams[0].endpoints = {{.host = "one.example", .port = 1}};
  return config;
}

void resolve(MuxRig& rig, std::expected<std::vector<Address>, std::string> addresses) {
  REQUIRE(!rig.workers.lookups.empty());
  const auto lookup = rig.workers.lookups.front();
  rig.workers.lookups.erase(rig.workers.lookups.begin());
  rig.mux.resolved(lookup.session, addresses);
}

void refuse_connection(MuxRig& rig, int error = ECONNREFUSED) {
  rig.connect(0, error);
  rig.finish_close(0);
}

}  // namespace

TEST_CASE("engine.a session resolves, connects, shakes hands, and is ready") {
  MuxRig rig(named_config());
  CHECK(rig.session(0).state == SessionState::resolving);
  REQUIRE(rig.workers.lookups.size() == 1);
  CHECK(rig.workers.lookups[0].host == "one.example");
  CHECK(rig.workers.lookups[0].port == 1);
  resolve(rig, std::vector{address("127.0.0.7", 1)});
  CHECK(rig.session(0).state == SessionState::connecting);
  CHECK(rig.network.dialled() == std::vector<std::string>{"127.0.0.7:1"});
  rig.connect(0);
  CHECK(rig.session(0).state == SessionState::handshaking);
  CHECK(rig.tls_clients[0]->last_server_name() == "one.example");
  rig.step_handshake(0);
  CHECK(rig.session(0).state == SessionState::handshaking);
}

TEST_CASE("engine.a ready session is told and counted") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  CHECK(rig.session(0).state == SessionState::ready);
  CHECK(rig.events.last().kind == EventKind::session_ready);
  CHECK(rig.events.last().address == "127.0.0.1:9000");
  CHECK(rig.upstream().handshakes_full == 1);
  rig.advance_to_due();  // the handshake's time-out finds nothing to do
  CHECK(rig.mux.next_due_ns() == 0);
}

TEST_CASE("engine.each failure to come up has its reason, and waiting requests are refused with it") {
  MuxRig rig(test::keyed_config());
  const auto tag = rig.ask("0001");
  const auto& timeouts = rig.config.upstreams[0].timeouts;
  auto expected = Reason::none;
  SUBCASE("refused") {
    refuse_connection(rig);
    expected = Reason::connect_refused;
  }
  SUBCASE("timed out in the kernel") {
    refuse_connection(rig, ETIMEDOUT);
    expected = Reason::connect_timeout;
  }
  SUBCASE("no route") {
    refuse_connection(rig, EHOSTUNREACH);
    expected = Reason::connect_failed;
  }
  SUBCASE("no answer to connect") {
    rig.advance_ms(timeouts.connect_ms);
    CHECK(rig.network[0].stage == Stage::closing);
    rig.finish_close(0);
    expected = Reason::connect_timeout;
  }
  SUBCASE("no answer in the handshake") {
    rig.connect(0);
    rig.step_handshake(0);
    rig.advance_ms(timeouts.handshake_ms);
    rig.finish_close(0);
    expected = Reason::handshake_timeout;
  }
  SUBCASE("the handshake takes too long at the worker") {
    rig.connect(0);
    rig.advance_ms(timeouts.handshake_ms);
    rig.finish_close(0);
    expected = Reason::handshake_timeout;
  }
  SUBCASE("the host refuses in the handshake") {
    rig.connect(0);
    rig.step_handshake(0);
    std::vector<std::byte> refusal;
    test::PlainTlsHost::refuse(Reason::certificate_rejected_by_host, refusal);
    rig.receive(0, refusal);
    rig.step_handshake(0);
    rig.finish_close(0);
    expected = Reason::certificate_rejected_by_host;
  }
  SUBCASE("the host closes in the handshake") {
    rig.connect(0);
    rig.step_handshake(0);
    rig.lose(0);
    expected = Reason::handshake_failed;
  }
  SUBCASE("the host closes while the worker is at it") {
    rig.connect(0);
    rig.mux.ended(rig.network[0].id, 0);
    CHECK(rig.network[0].stage == Stage::up);
    rig.step_handshake(0);
    rig.finish_close(0);
    expected = Reason::handshake_failed;
  }
  CHECK(rig.events.last().kind == EventKind::session_failed);
  CHECK(rig.events.last().reason == expected);
  CHECK(rig.outcome(tag) == "not_sent " + std::string(shm::reason_name(expected)));
  // Nothing is hopeful: refused at once, for the same reason.
  CHECK(rig.outcome(rig.ask("0002")) == "not_sent " + std::string(shm::reason_name(expected)));
  CHECK(rig.session(0).state == SessionState::backing_off);
  CHECK(rig.is_clean());
  rig.advance_to_due();
  rig.bring_up(0);
  CHECK(rig.outcome(rig.ask("0003")) == "open");
}

TEST_CASE("engine.our own verdict on the host is told it") {
  MuxRig rig(test::keyed_config());
  rig.tls_clients[0]->fail_handshakes(engine::tls::TlsError{Reason::certificate_expired, "expired in 1999"});
  rig.connect(0);
  rig.step_handshake(0);
  test::PlainTlsHost host;
  std::vector<std::byte> plaintext;
  std::vector<std::byte> hello;
  host.receive(rig.network[0].wire, plaintext, hello);
  rig.receive(0, hello);
  const auto before = rig.network[0].wire.size();
  auto step = std::move(rig.workers.steps.front());
  rig.workers.steps.clear();
  std::vector<std::byte> alert;
  const auto result = step.tls->handshake(step.received, alert);
  rig.mux.handshake_stepped(step.session, std::move(step.tls), alert, result);
  CHECK(rig.network[0].stage == Stage::closing);
  rig.finish_close(0, alert.size());  // the alert was given to the kernel before the connection was closed
  CHECK(rig.network[0].wire.size() == before + alert.size());
  CHECK(rig.events.last().reason == Reason::certificate_expired);
  CHECK(rig.events.last().words == "expired in 1999");
}

TEST_CASE("engine.names without an address, and lookups that take too long") {
  MuxRig rig(named_config());
  auto words = "no such name";
  SUBCASE("unknown") { resolve(rig, std::unexpected(std::string("no such name"))); }
  SUBCASE("empty") {
    resolve(rig, std::vector<Address>{});
    words = "the name has no address";
  }
  SUBCASE("slow") {
    rig.advance_ms(rig.config.upstreams[0].timeouts.connect_ms);
    words = "no answer from the resolver in time";
    rig.mux.resolved(rig.workers.lookups[0].session, std::vector{address("127.0.0.1", 1)});  // too late
    CHECK(rig.network.dialled().empty());
  }
  CHECK(rig.events.last().reason == Reason::name_not_resolved);
  CHECK(rig.events.last().words == words);
  CHECK(rig.session(0).state == SessionState::backing_off);
}

TEST_CASE("engine.all addresses of a name are tried before it counts as a failure") {
  MuxRig rig(named_config());
  const auto tag = rig.ask("0001");
  resolve(rig, std::vector{address("127.0.0.1", 1), address("127.0.0.2", 1), address("::1", 1)});
  refuse_connection(rig);
  CHECK(rig.outcome(tag) == "open");
  CHECK(rig.network.dialled().back() == "127.0.0.2:1");
  rig.connect(0);
  rig.step_handshake(0);
  rig.lose(0);  // the second fails in the handshake
  CHECK(rig.outcome(tag) == "open");
  CHECK(rig.network.dialled().back() == "[::1]:1");
  CHECK(rig.events.count(EventKind::session_failed) == 2);
  SUBCASE("the last one is good") {
    rig.bring_up(0);
    rig.accept_all(0);
    CHECK(rig.heard(0) == std::vector<std::string>{"0001"});
  }
  SUBCASE("none is good") {
    refuse_connection(rig);
    CHECK(rig.outcome(tag) == "not_sent connect_refused");
    CHECK(rig.upstream().endpoints[0].failed);
    CHECK(rig.session(0).state == SessionState::backing_off);
  }
}

TEST_CASE("engine.back-off doubles from initial_ms to max_ms, within its jitter") {
  auto config = test::keyed_config();
  config.upstreams[0].backoff = {.initial_ms = 100, .max_ms = 1500, .jitter_percent = 20};
  MuxRig rig(config);
  std::set<std::uint32_t> waits;
  for (const std::uint64_t expected_ms : {100U, 200U, 400U, 800U, 1500U, 1500U, 1500U}) {
    refuse_connection(rig);
    const auto wait_ms = rig.events.last().retry_in_ms;
    CHECK(wait_ms >= expected_ms * 80 / 100);
    CHECK(wait_ms <= expected_ms * 120 / 100);
    waits.insert(wait_ms);
    CHECK(rig.mux.next_due_ns() == rig.now_ns + std::uint64_t{wait_ms} * 1'000'000);
    rig.advance_ms(wait_ms - 1);
    CHECK(rig.session(0).state == SessionState::backing_off);
    rig.advance_ms(1);
    CHECK(rig.session(0).state == SessionState::connecting);
  }
  CHECK(waits.size() > 3);
  rig.bring_up(0);
  SUBCASE("a session of use begins anew") {
    rig.ask("0001");
    rig.accept_all(0);
    rig.say(0, "0001");
    rig.lose(0);
    CHECK(rig.events.last().retry_in_ms <= 120);
  }
  SUBCASE("so does one that lasted") {
    rig.advance_ms(1500);
    rig.lose(0);
    CHECK(rig.events.last().retry_in_ms <= 120);
  }
  SUBCASE("one that the host ended at once does not, but it gives hope") {
    rig.lose(0);
    CHECK(rig.events.last().retry_in_ms >= 1200);
    CHECK(rig.outcome(rig.ask("0001")) == "open");
  }
}

TEST_CASE("engine.the alert that ends a session is sent, unless a send is under way") {
  for (const bool is_sending : {false, true}) {
    MuxRig rig(test::keyed_config());
    test::TlsScript script;
    test::bring_up_scripted(rig, 0, script);
    rig.accept_all(0);
    const auto tag = rig.ask("0001");
    if (!is_sending) rig.accept_all(0);
    const auto sends = rig.network[0].sends;
    script.open_error = engine::tls::TlsError{Reason::record_corrupt, "a record did not verify"};
    rig.receive(0, test::to_bytes("no record"));
    CHECK(rig.network[0].sends == sends + (is_sending ? 0 : 1));
    rig.finish_close(0, is_sending ? 1 : test::kPlainHeaderBytes);
    CHECK(rig.events.last().reason == Reason::record_corrupt);
    CHECK(rig.outcome(tag) == "maybe_sent record_corrupt");
  }
}

TEST_CASE("engine.one hopeful session is enough to wait for") {
  auto config = test::keyed_config();
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  const auto tag = rig.ask("0001");
  refuse_connection(rig);
  CHECK(rig.outcome(tag) == "open");
  CHECK(rig.outcome(rig.ask("0002")) == "open");
  rig.connect(1, ECONNREFUSED);
  rig.finish_close(1);
  CHECK(rig.outcome(tag) == "not_sent connect_refused");
}

TEST_CASE("engine.bytes right behind the handshake are messages") {
  for (const bool during_step : {false, true}) {
    MuxRig rig(test::keyed_config());
    rig.connect(0);
    rig.step_handshake(0);
    test::PlainTlsHost host;
    std::vector<std::byte> plaintext;
    std::vector<std::byte> hello;
    std::vector<std::byte> message;
    host.receive(rig.network[0].wire, plaintext, hello);
    test::PlainTlsHost::seal(test::to_bytes(std::string("\0\5"
                                                        "00011",
                                                        7)),
                             message);
    if (during_step) {
      rig.receive(0, hello);
      rig.receive(0, message);
    } else {
      hello.insert(hello.end(), message.begin(), message.end());
      rig.receive(0, hello);
    }
    SUBCASE("") {}
    SUBCASE("and the host closes behind them") { rig.mux.ended(rig.network[0].id, 0); }
    rig.step_handshake(0);
    CHECK(rig.upstream().unsolicited == 1);
    CHECK(rig.events.count(EventKind::session_ready) == 1);
  }
}

TEST_CASE("engine.a host cannot fill our memory while a worker is at its handshake") {
  MuxRig rig(test::keyed_config());
  rig.connect(0);
  const std::vector<std::byte> flood(16 * 1024, std::byte(1));
  for (int i = 0; i < 16; ++i) rig.receive(0, flood);
  CHECK(rig.network[0].stage == Stage::up);
  rig.receive(0, flood);
  CHECK(rig.network[0].stage == Stage::closing);
  rig.finish_close(0);
  CHECK(rig.events.last().reason == Reason::handshake_failed);
}

TEST_CASE("engine.a host that takes none of our handshake cannot make us hold more and more of it") {
  MuxRig rig(test::keyed_config(), 30);  // room for one hello, not for two
  rig.connect(0);
  const auto step = [&] {
    std::vector<std::byte> output;
    auto tls = std::make_unique<test::PlainTlsSession>(std::nullopt);
    const auto result = tls->handshake({}, output);
    rig.mux.handshake_stepped(rig.network[0].id, std::move(tls), output, result);
  };
  step();
  CHECK(rig.network[0].stage == Stage::up);
  step();
  CHECK(rig.network[0].stage == Stage::closing);
  rig.finish_close(0);
  CHECK(rig.events.last().reason == Reason::handshake_failed);
}

TEST_CASE("engine.stale news changes nothing") {
  MuxRig rig(test::keyed_config());
  const auto first = rig.network[0].id;
  rig.connect(0);
  auto stale = std::move(rig.workers.steps.front());
  rig.workers.steps.clear();
  rig.advance_ms(rig.config.upstreams[0].timeouts.handshake_ms);
  rig.finish_close(0);
  CHECK(rig.session(0).state == SessionState::backing_off);

  const auto tell_all = [&](engine::mux::SessionId id) {
    rig.mux.connected(id, 0);
    auto late = test::to_bytes("late bytes");
    rig.mux.received(id, late);
    rig.mux.ended(id, 0);
    rig.mux.resolved(id, std::vector{address("127.0.0.9", 9)});
    std::vector<std::byte> output;
    auto tls = std::make_unique<test::PlainTlsSession>(std::nullopt);
    const auto result = tls->handshake({}, output);
    rig.mux.handshake_stepped(id, std::move(tls), output, result);
  };
  tell_all(first);
  CHECK(rig.session(0).state == SessionState::backing_off);
  CHECK(rig.events.entries.size() == 1);

  rig.advance_to_due();
  rig.connect(0);
  const auto second = rig.network[0].id;
  CHECK(second != first);
  tell_all(first);
  rig.mux.sent(first, 5);
  rig.mux.closed(first);
  std::vector<std::byte> output;
  const auto result = stale.tls->handshake({}, output);
  rig.mux.handshake_stepped(first, std::move(stale.tls), output, result);
  CHECK(rig.session(0).state == SessionState::handshaking);
  CHECK_FALSE(rig.network[0].sending.has_value());
  CHECK(rig.workers.steps.size() == 1);
}

TEST_CASE("engine.a session that is backing off does not look as if it were ending") {
  MuxRig rig(test::keyed_config());
  refuse_connection(rig);
  CHECK(rig.session(0).state == SessionState::backing_off);
  CHECK_FALSE(rig.session(0).closing);
}
