// Hosts that say what nobody asked for, too much, too late, or nothing.

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"

namespace tlsmux::test {

TEST_CASE("faults.an unsolicited message is counted, and with keys the session goes on") {
  Rig rig({"--mode", "echo", "--unsolicited-every", "1"},
          [](config::Config& config) { set_keyed(config.upstreams[0]); });
  Requester requester(rig.config);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    const auto ended = requester.ask(keyed_message(number));
    CHECK(ended.outcome == TMX_ANSWERED);
    CHECK(ended.answer == keyed_message(number));
  }
  const auto facts = rig.await_facts([](const auto& now) { return now.unsolicited == 3; });
  CHECK(facts.sessions_ready == 1);
  CHECK(facts.handshakes == 1);
  rig.engine().log().wait_for("event=unsolicited_message");
  CHECK(rig.engine().log().count("event=session_lost") == 0);
  rig.stop();
}

TEST_CASE("faults.an unsolicited message without keys ends the session, since no later answer could be trusted") {
  Rig rig({"--mode", "echo", "--duplicate-percent", "100"});
  Requester requester(rig.config);
  for (int i = 1; i <= 3; ++i) {
    const auto message = "request " + std::to_string(i);
    const auto ended = requester.ask(message);
    CHECK(ended.outcome == TMX_ANSWERED);
    CHECK(ended.answer == message);
    const auto line = rig.engine().log().wait_for("event=session_lost", static_cast<std::size_t>(i));
    CHECK_MESSAGE(line.find("reason=stream_corrupt") != std::string::npos, line);
  }
  const auto facts = rig.await_facts([](const auto& now) { return now.unsolicited == 3; });
  CHECK(facts.last_error_reason == shm::Reason::stream_corrupt);
  CHECK(facts.last_error == "the host sent an answer to no request");
  rig.stop();
}

TEST_CASE("faults.an answer longer than the limit ends the session") {
  Rig rig({"--mode", "echo", "--oversize-after", "2", "--delay-us", "200000"},
          [](config::Config& config) { set_keyed(config.upstreams[0]); });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.submit(keyed_message(1), 1) == 0);
  CHECK(requester.submit(keyed_message(2), 2) == 0);
  CHECK(count_outcomes(requester.take(2), TMX_MAYBE_SENT, TMX_REASON_STREAM_CORRUPT) == 2);
  const auto facts = rig.await_facts([](const auto& now) { return sum(now.maybe_sent) == 2; });
  CHECK(facts.last_error_reason == shm::Reason::stream_corrupt);
  CHECK_FALSE(facts.last_error.empty());
  CHECK(rig.received() == 2);
  CHECK(requester.ask(keyed_message(3)).outcome == TMX_ANSWERED);  // on a new session
  rig.stop();
}

TEST_CASE("faults.a silent host is MAYBE_SENT, deadline") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  const auto ended = requester.ask(keyed_message(1), 1'000);
  CHECK(ended.outcome == TMX_MAYBE_SENT);
  CHECK(ended.reason == TMX_REASON_DEADLINE);
  CHECK(rig.received() == 1);
  const auto facts =
      rig.await_facts([](const auto& now) { return count_of(now.maybe_sent, shm::Reason::deadline) == 1; });
  CHECK(facts.sessions_ready == 1);
  CHECK(facts.late == 0);
  rig.stop();
}

TEST_CASE("faults.a late answer is counted and disturbs nobody") {
  for (const bool keyed : {true, false}) {
    CAPTURE(keyed);
    Rig rig({"--mode", "echo", "--delay-us", "2000000"}, [&](config::Config& config) {
      if (keyed) set_keyed(config.upstreams[0]);
    });
    rig.engine().await_sessions(1);
    Requester requester(rig.config);
    const auto late = requester.ask(keyed_message(1), 1'000);
    CHECK(late.outcome == TMX_MAYBE_SENT);
    CHECK(late.reason == TMX_REASON_DEADLINE);
    const auto next = requester.ask(keyed_message(2));
    CHECK(next.outcome == TMX_ANSWERED);
    CHECK(next.answer == keyed_message(2));
    const auto facts = rig.await_facts([](const auto& now) { return now.late == 1 && now.answered == 1; });
    CHECK(facts.unsolicited == 0);
    CHECK(facts.handshakes == 1);
    rig.stop();
  }
}

TEST_CASE("faults.without keys an answer that never comes ends the session") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) { config.upstreams[0].timeouts.late_answer_ms = 200; });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.ask("a request", 1'000).reason == TMX_REASON_DEADLINE);
  const auto line = rig.engine().log().wait_for("event=session_lost");
  CHECK_MESSAGE(line.find("the host did not answer in late_answer_ms") != std::string::npos, line);
  rig.engine().await_sessions(2);
  rig.stop();
}

}  // namespace tlsmux::test
