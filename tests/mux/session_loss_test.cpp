// What becomes of requests when a session ends, beyond which bytes were accepted.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "tests/mux/mux_rig.hpp"

using namespace tlsmux;
using engine::mux::EventKind;
using shm::Reason;
using shm::SessionState;
using test::MuxRig;

TEST_CASE("outcome.the unsent move to another session in their order and are answered there") {
  auto config = test::fifo_config();
  config.upstreams[0].sessions = 2;
  MuxRig rig(config);
  rig.bring_up(0);
  const auto sent = rig.ask("sent");
  rig.accept_all(0);
  for (const auto* text : {"a", "b", "c"}) rig.ask(text);  // "a" is being sent, the others are sealed behind it
  rig.fail_send(0, ECONNRESET);
  const auto waiting = rig.ask("d");  // no session is up
  rig.finish_close(0);
  rig.bring_up(1);
  rig.accept_all(1);
  CHECK(rig.outcome(sent) == "maybe_sent connection_lost");
  CHECK(rig.heard(1) == std::vector<std::string>{"a", "b", "c", "d"});
  for (const auto* text : {"A", "B", "C", "D"}) rig.say(1, text);
  CHECK(rig.outcome(1) == "answered A");
  CHECK(rig.outcome(2) == "answered B");
  CHECK(rig.outcome(3) == "answered C");
  CHECK(rig.outcome(waiting) == "answered D");
  CHECK(rig.is_clean());
}

TEST_CASE("outcome.a send for which the kernel has no memory took nothing: what was in it was not sent") {
  for (const int error : {ENOBUFS, ENOMEM}) {
    auto config = test::keyed_config();
    config.upstreams[0].sessions = 2;
    MuxRig rig(config);
    rig.bring_up(0);
    const auto in_flight = rig.ask("0001");
    rig.accept_all(0);
    const auto refused = rig.ask("0002");  // is being sent
    rig.fail_send(0, error);
    rig.finish_close(0);
    rig.bring_up(1);
    rig.accept_all(1);
    CHECK(rig.outcome(in_flight) == "maybe_sent connection_lost");
    CHECK(rig.upstream().last_error == "send: " + std::string(std::strerror(error)));
    CHECK(rig.heard(1) == std::vector<std::string>{"0002"});
    rig.say(1, "0002");
    CHECK(rig.outcome(refused) == "answered 0002");
    CHECK(rig.is_clean());
  }
}

TEST_CASE("outcome.close_notify with requests in flight: may be sent") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto in_flight = rig.ask("0001");
  rig.accept_all(0);
  const auto sealed = rig.ask("0002");
  rig.say_close_notify(0);
  CHECK_FALSE(rig.session(0).is_up());
  rig.finish_close(0);
  CHECK(rig.outcome(in_flight) == "maybe_sent host_closed");
  CHECK(rig.outcome(sealed) == "open");
  CHECK(rig.session(0).state == SessionState::backing_off);
  CHECK(rig.upstream().last_error_reason == Reason::host_closed);
}

TEST_CASE("outcome.answers in the same bytes as close_notify still count") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto first = rig.ask("0001");
  const auto second = rig.ask("0002");
  rig.accept_all(0);
  std::vector<std::byte> records;
  test::PlainTlsHost::seal(test::to_bytes(std::string("\0\4"
                                                      "0001",
                                                      6)),
                           records);
  test::PlainTlsHost::close_notify(records);
  test::PlainTlsHost::seal(test::to_bytes(std::string("\0\4"
                                                      "0002",
                                                      6)),
                           records);
  rig.receive(0, records);
  rig.finish_close(0);
  CHECK(rig.outcome(first) == "answered 0001");
  CHECK(rig.outcome(second) == "maybe_sent host_closed");
}

TEST_CASE("outcome.a loss is told with how many requests it cost") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  rig.ask("0001");
  rig.ask("0002");
  rig.accept_all(0);
  rig.ask("0003");
  rig.lose(0, ECONNRESET);
  CHECK(rig.events.last().kind == EventKind::session_lost);
  CHECK(rig.events.last().reason == Reason::connection_lost);
  CHECK(rig.events.last().maybe_sent == 2);
  CHECK(rig.events.last().retry_in_ms > 0);
}

TEST_CASE("outcome.a moved request ends like any other") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto tag = rig.ask("0001", 200);
  rig.fail_send(0, EPIPE);
  rig.finish_close(0);
  REQUIRE(rig.outcome(tag) == "open");
  SUBCASE("its deadline comes: not sent, although it was taken once") {
    rig.advance_ms(200);
    CHECK(rig.outcome(tag) == "not_sent deadline");
  }
  SUBCASE("nothing is hopeful any more: not sent") {
    rig.advance_to_due();
    rig.connect(0, ECONNREFUSED);
    rig.finish_close(0);
    CHECK(rig.outcome(tag) == "not_sent connect_refused");
  }
  SUBCASE("the caller has expired it") {
    REQUIRE(rig.callers.expire(tag));
    rig.advance_to_due();
    rig.bring_up(0);
    rig.mux.flush();
    CHECK_FALSE(rig.network[0].sending.has_value());
    CHECK(rig.outcome(tag) == "expired");
  }
  SUBCASE("its key stays taken") { CHECK(rig.outcome(rig.ask("0001")) == "not_sent duplicate_key"); }
  SUBCASE("an answer to it cannot come") {
    rig.advance_to_due();
    rig.bring_up(0);
    CHECK(rig.outcome(tag) == "open");
  }
}

TEST_CASE("outcome.the queue of a lost session waits while there is hope") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  rig.lose(0);
  CHECK(rig.session(0).state == SessionState::backing_off);
  const auto tag = rig.ask("0001");
  CHECK(rig.outcome(tag) == "open");
  rig.advance_to_due();
  rig.bring_up(0);
  rig.accept_all(0);
  CHECK(rig.heard(0) == std::vector<std::string>{"0001"});
}

TEST_CASE("outcome.an abandoned request in each state") {
  MuxRig rig(test::keyed_config());
  SUBCASE("queued: never sent") {
    const auto tag = rig.ask("0001");
    rig.callers.die();
    rig.mux.abandon(rig.index_of(tag));
    CHECK(rig.is_clean());
    rig.bring_up(0);
    CHECK_FALSE(rig.network[0].sending.has_value());
    CHECK(rig.counters().not_sent[static_cast<std::size_t>(Reason::client_died)] == 1);
  }
  SUBCASE("waiting for another session: never sent") {
    rig.bring_up(0);
    const auto tag = rig.ask("0001");
    rig.fail_send(0, EPIPE);
    rig.finish_close(0);
    rig.callers.die();
    rig.mux.abandon(rig.index_of(tag));
    CHECK(rig.is_clean());
    CHECK(rig.counters().not_sent[static_cast<std::size_t>(Reason::client_died)] == 1);
  }
  SUBCASE("in flight") {
    rig.bring_up(0);
    const auto tag = rig.ask("0001");
    rig.accept_all(0);
    rig.callers.die();
    rig.mux.abandon(rig.index_of(tag));
    CHECK(rig.counters().maybe_sent[static_cast<std::size_t>(Reason::client_died)] == 1);
    CHECK(rig.session(0).in_flight.size() == 1);
    SUBCASE("the host answers") {
      rig.say(0, "0001");
      CHECK(rig.counters().late == 1);
      CHECK(rig.upstream().unsolicited == 0);
    }
    SUBCASE("the host never answers") { rig.advance_ms(rig.config.upstreams[0].timeouts.late_answer_ms); }
    SUBCASE("the session is lost") { rig.lose(0); }
    CHECK(rig.is_clean());
  }
  SUBCASE("sealed, and no byte left: it is not sent elsewhere") {
    rig.bring_up(0);
    const auto tag = rig.ask("0001");
    rig.callers.die();
    rig.mux.abandon(rig.index_of(tag));
    rig.fail_send(0, EPIPE);
    rig.finish_close(0);
    CHECK(rig.is_clean());
  }
  SUBCASE("given up before") {
    rig.bring_up(0);
    const auto tag = rig.ask("0001", 10);
    rig.accept_all(0);
    rig.advance_ms(10);
    CHECK(rig.outcome(tag) == "maybe_sent deadline");
    rig.say(0, "0001");
    CHECK(rig.is_clean());
  }
}

TEST_CASE("outcome.a write that stalls ends the session") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  const auto stall_ms = rig.config.upstreams[0].timeouts.write_stall_ms;
  const auto tag = rig.ask("0001 long enough to be accepted in pieces");
  rig.advance_ms(stall_ms - 1);
  rig.accept(0, 3);  // progress: the time begins anew
  rig.advance_ms(stall_ms - 1);
  CHECK(rig.session(0).is_up());
  rig.advance_ms(1);
  CHECK_FALSE(rig.session(0).is_up());
  rig.finish_close(0);
  CHECK(rig.outcome(tag) == "maybe_sent write_stalled");
}

TEST_CASE("outcome.a write that stalls since the handshake ends the session") {
  MuxRig rig(test::keyed_config());
  rig.connect(0);
  // The last flight of the handshake: what the client sends with it is never accepted.
  auto step = std::move(rig.workers.steps.front());
  rig.workers.steps.clear();
  std::vector<std::byte> hello;
  static_cast<void>(step.tls->handshake({}, hello));
  test::PlainTlsHost host;
  std::vector<std::byte> plaintext;
  std::vector<std::byte> answer;
  host.receive(hello, plaintext, answer);
  std::vector<std::byte> nothing;
  const auto result = step.tls->handshake(answer, nothing);
  rig.mux.handshake_stepped(rig.network[0].id, std::move(step.tls), hello, result);
  REQUIRE(rig.session(0).is_up());
  REQUIRE(rig.network[0].sending.has_value());
  rig.advance_ms(rig.config.upstreams[0].timeouts.write_stall_ms);
  CHECK_FALSE(rig.session(0).is_up());
  CHECK(rig.session(0).end_reason == Reason::write_stalled);
}

TEST_CASE("outcome.no stall is seen where nothing is being sent") {
  MuxRig rig(test::keyed_config());
  rig.bring_up(0);
  rig.ask("0001");
  rig.accept_all(0);
  rig.advance_ms(10 * rig.config.upstreams[0].timeouts.write_stall_ms);
  CHECK(rig.session(0).is_up());
}

TEST_CASE("outcome.a host that says nothing for silence_ms while requests are in flight is given up") {
  auto config = test::keyed_config();
  config.upstreams[0].timeouts.silence_ms = 1000;
  MuxRig rig(config);
  rig.bring_up(0);
  rig.advance_ms(10'000);
  CHECK(rig.session(0).is_up());  // nobody had asked
  const auto tag = rig.ask("0001");
  rig.accept_all(0);
  rig.advance_ms(999);
  CHECK(rig.session(0).is_up());
  SUBCASE("half open") {
    rig.advance_ms(1);
    CHECK_FALSE(rig.session(0).is_up());
    rig.finish_close(0);
    CHECK(rig.outcome(tag) == "maybe_sent host_silent");
    CHECK(rig.events.last().reason == Reason::host_silent);
  }
  SUBCASE("any byte is a sign of life") {
    const auto other = rig.ask("0002");
    rig.accept_all(0);
    rig.say(0, "0002");
    CHECK(rig.outcome(other) == "answered 0002");
    rig.advance_ms(999);
    CHECK(rig.session(0).is_up());
    rig.advance_ms(1);
    CHECK_FALSE(rig.session(0).is_up());
  }
  SUBCASE("an answer in time, and then nothing to answer") {
    rig.say(0, "0001");
    rig.advance_ms(10'000);
    CHECK(rig.session(0).is_up());
    rig.ask("0003");
    rig.accept_all(0);
    rig.advance_ms(999);
    CHECK(rig.session(0).is_up());
    rig.advance_ms(1);
    CHECK_FALSE(rig.session(0).is_up());
  }
}
