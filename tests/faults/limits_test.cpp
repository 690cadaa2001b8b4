// What a client asks for too much of: the answer is clear and comes at once.

#include <array>
#include <cerrno>
#include <cstring>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"

namespace tlsmux::test {

TEST_CASE("faults.messages that are empty or too long are errors at submit") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) {
    config.upstreams[0].framing.message_bytes_max = 1000;
    config.groups[0].memory.slots_per_channel = 2;
  });
  Requester requester(rig.config);
  CHECK(requester.submit("") == -EINVAL);
  CHECK(requester.submit(std::string(1001, 'x')) == -EMSGSIZE);
  const std::string long_message(70'000, 'x');
  tmx_result result{};
  CHECK(tmx_call(requester.channel(), "", 0, nullptr, 0, 0, &result) == -EINVAL);
  CHECK(tmx_call(requester.channel(), long_message.data(), 1001, nullptr, 0, 0, &result) == -EMSGSIZE);
  CHECK(tmx_call(requester.channel(), long_message.data(), 70'000, nullptr, 0, 0, &result) == -EMSGSIZE);
  // The buffers are still there: the only two slots do.
  const std::string longest(1000, 'y');
  const auto ended = requester.ask(longest);
  CHECK(ended.outcome == TMX_ANSWERED);
  CHECK(ended.answer == longest);
  const auto facts = rig.await_facts([](const auto& now) { return now.answered == 1; });
  CHECK(sum(facts.not_sent) + sum(facts.maybe_sent) == 0);
  CHECK(rig.received() == 1);
  rig.stop();
}

TEST_CASE("faults.full slots are EAGAIN and never a hang") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) { config.groups[0].memory.slots_per_channel = 8; });
  Requester requester(rig.config);
  for (std::uint64_t tag = 1; tag <= 4; ++tag) CHECK(requester.submit("a request", tag, 3000) == 0);
  CHECK(requester.submit("one more") == -EAGAIN);
  // A call waits for a slot as long as it may and no longer.
  tmx_result result{};
  CHECK(tmx_call(requester.channel(), "one more", 8, nullptr, 0, 50, &result) == -EAGAIN);
  const auto all = requester.take(4);
  CHECK(count_outcomes(all, TMX_MAYBE_SENT, TMX_REASON_DEADLINE) == 4);
  await([&] { return requester.submit("again", 0, 10) == 0; });
  CHECK(requester.take_one().outcome != TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("faults.answers that are not released fill the slots") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) { config.groups[0].memory.slots_per_channel = 4; });
  Requester requester(rig.config);
  std::array<tmx_completion, 3> held{};
  for (auto& completion : held) {
    CHECK(requester.submit("a request") == 0);
    REQUIRE(tmx_poll(requester.channel(), &completion, 1, 20'000) == 1);
  }
  CHECK(requester.submit("a request") == -EAGAIN);
  tmx_result result{};
  CHECK(tmx_call(requester.channel(), "a request", 9, nullptr, 0, 20'000, &result) == -EAGAIN);  // waiting is no use
  for (const auto& completion : held) {
    CHECK(std::memcmp(completion.data, "a request", 9) == 0);
    CHECK(tmx_release(requester.channel(), &completion) == 0);
  }
  CHECK(requester.ask("a request").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("faults.a full queue is NOT_SENT, overload") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) {
    config.upstreams[0].in_flight_max = 1;
    config.upstreams[0].queue_max = 2;
  });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.submit("in flight", 1, 1000) == 0);
  rig.await_received(1);
  for (std::uint64_t tag = 2; tag <= 7; ++tag) CHECK(requester.submit("queued or not", tag, 1000) == 0);
  const auto all = requester.take(7);
  CHECK(count_outcomes(all, TMX_NOT_SENT, TMX_REASON_OVERLOAD) == 4);
  CHECK(count_outcomes(all, TMX_NOT_SENT, TMX_REASON_DEADLINE) == 2);
  CHECK(count_outcomes(all, TMX_MAYBE_SENT, TMX_REASON_DEADLINE) == 1);
  CHECK(rig.received() == 1);
  rig.stop();
}

TEST_CASE("faults.more requests than the engine holds are NOT_SENT, overload") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) { config.engine.in_flight_max = 3; });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  for (std::uint64_t tag = 1; tag <= 5; ++tag) CHECK(requester.submit("a request", tag, 1000) == 0);
  const auto all = requester.take(5);
  CHECK(count_outcomes(all, TMX_NOT_SENT, TMX_REASON_OVERLOAD) == 2);
  CHECK(count_outcomes(all, TMX_MAYBE_SENT, TMX_REASON_DEADLINE) == 3);
  rig.stop();
}

TEST_CASE("faults.keys that are in flight already or missing") {
  Rig rig({"--mode", "echo", "--delay-us", "300000"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.submit(keyed_message(1), 1) == 0);
  CHECK(requester.submit(keyed_message(1), 2) == 0);
  CHECK(requester.submit("too short", 3) == 0);
  CHECK(requester.submit(keyed_message(2), 4) == 0);
  for (const auto& ended : requester.take(4)) {
    if (ended.tag == 2) {
      CHECK(ended.outcome == TMX_NOT_SENT);
      CHECK(ended.reason == TMX_REASON_DUPLICATE_KEY);
    } else if (ended.tag == 3) {
      CHECK(ended.outcome == TMX_NOT_SENT);
      CHECK(ended.reason == TMX_REASON_UNPARSABLE);
    } else {
      CHECK(ended.outcome == TMX_ANSWERED);
    }
  }
  CHECK(rig.received() == 2);
  CHECK(requester.ask(keyed_message(1)).outcome == TMX_ANSWERED);  // its answer has come: the key is free
  rig.stop();
}

TEST_CASE("faults.a group with all its clients") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) { config.groups[0].memory.clients_max = 2; });
  const Requester first(rig.config);
  auto options = attach_options(rig.config);
  options.timeout_ms = 300;
  std::array<char, 256> words{};
  options.error_text = words.data();
  options.error_text_bytes = words.size();
  tmx_client* client = nullptr;
  {
    const Requester second(rig.config);
    CHECK(tmx_attach(&options, &client) == -EAGAIN);
    CHECK(std::string(words.data()).find("clients_max") != std::string::npos);
  }
  options.timeout_ms = 20'000;
  await([&] { return tmx_attach(&options, &client) == 0; });
  CHECK(tmx_detach(client) == 0);
  rig.stop();
}

}  // namespace tlsmux::test
