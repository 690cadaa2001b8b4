#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;

namespace {

// Takes `count` completions, sorted by their tags.
std::vector<tmx_completion> take(tmx_channel* channel, std::size_t count) {
  std::vector<tmx_completion> completions;
  while (completions.size() < count) completions.push_back(next(channel));
  std::ranges::sort(completions, {}, &tmx_completion::tag);
  expect_nothing(channel);
  return completions;
}

}  // namespace

TEST_CASE("outcome.an engine's death settles every request by its slot word") {
  const FakeEngineNames names;
  auto options = names.options();
  options.geometry.slots_per_channel = 32;
  ForkedEngine engine(options);
  const AttachedClient attached(options, TMX_NO_REATTACH);
  std::vector<tmx_request> requests(10);
  const std::string_view scripts = "QSAarRlLTK";
  for (std::size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(tmx_reserve(attached.channel, &requests[i].buffer) == 0);
    std::memcpy(requests[i].buffer.data, &scripts[i], 1);
    requests[i].length = 1;
    requests[i].tag = i;
  }
  // One publish: the engine works through them and dies at the last, before the client looks.
  REQUIRE(tmx_submit_many(attached.channel, requests.data(), requests.size()) == 10);
  engine.wait_dead();

  const auto got = take(attached.channel, requests.size());
  struct Expected {
    tmx_outcome outcome;
    tmx_reason reason;
  };
  const std::array<Expected, 10> expected{{
      {TMX_NOT_SENT, TMX_REASON_ENGINE_DIED},    // Q
      {TMX_MAYBE_SENT, TMX_REASON_ENGINE_DIED},  // S
      {TMX_ANSWERED, TMX_REASON_NONE},           // A: its completion was published
      {TMX_ANSWERED, TMX_REASON_NONE},           // a: only the word tells
      {TMX_NOT_SENT, TMX_REASON_OVERLOAD},       // r
      {TMX_NOT_SENT, TMX_REASON_OVERLOAD},       // R
      {TMX_MAYBE_SENT, TMX_REASON_HOST_CLOSED},  // l
      {TMX_MAYBE_SENT, TMX_REASON_HOST_CLOSED},  // L
      {TMX_MAYBE_SENT, TMX_REASON_ENGINE_DIED},  // T: no answer that fits
      {TMX_NOT_SENT, TMX_REASON_ENGINE_DIED},    // K: was still queued
  }};
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(scripts[i]);
    CHECK(got[i].tag == i);
    CHECK(got[i].outcome == expected[i].outcome);
    CHECK(got[i].reason == expected[i].reason);
  }
  CHECK(text_of(got[2]) == "A");
  CHECK(text_of(got[3]) == "a");
  tmx_buffer buffer;
  CHECK(tmx_reserve(attached.channel, &buffer) == -ENOTCONN);
  for (const auto& completion : got) CHECK(tmx_release(attached.channel, &completion) == 0);
}

TEST_CASE("outcome.what ended before the engine's death ends only once") {
  const FakeEngineNames names;
  const auto options = names.options();
  ForkedEngine engine(options);
  const AttachedClient attached(options, TMX_NO_REATTACH);
  REQUIRE(send(attached.channel, "S", 1, 1) == 0);
  REQUIRE(send(attached.channel, "Q", 2) == 0);
  CHECK(tmx_cancel(attached.channel, 2) == 0);
  const auto got = [&] {
    std::vector<tmx_completion> completions;
    while (completions.size() < 2) completions.push_back(next(attached.channel));
    return completions;
  }();
  CHECK(got[0].tag + got[1].tag == 3);
  engine.kill();
  wait_until([&] {
    expect_nothing(attached.channel);
    tmx_buffer buffer;
    const int error = tmx_reserve(attached.channel, &buffer);
    if (error == 0) CHECK(tmx_abandon(attached.channel, &buffer) == 0);
    return error == -ENOTCONN;
  });
  expect_nothing(attached.channel);
}

TEST_CASE("client.a client goes on with the next engine by itself") {
  const FakeEngineNames names;
  const auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  const AttachedClient attached(options);
  for (std::uint64_t round = 1; round <= 5; ++round) {
    send_when_possible(attached.channel, "A", round);
    expect(attached.channel, round, TMX_ANSWERED, TMX_REASON_NONE);
    REQUIRE(send(attached.channel, "S", round) == 0);
    engine->kill();
    engine.reset();
    const auto completion = next(attached.channel);
    CHECK(completion.tag == round);
    CHECK((completion.outcome == TMX_MAYBE_SENT || completion.outcome == TMX_NOT_SENT));
    CHECK(completion.reason == TMX_REASON_ENGINE_DIED);
    engine = std::make_unique<ForkedEngine>(options);
  }
  tmx_result result{};
  CHECK(tmx_call(attached.channel, "A", 1, nullptr, 0, kLongMs, &result) == 0);
  CHECK(result.outcome == TMX_ANSWERED);
}

TEST_CASE("client.a call waits for the next engine") {
  const FakeEngineNames names;
  const auto options = names.options();
  ForkedEngine engine(options);
  ForkedEngine next_engine(options, ForkedEngine::Begins::later);
  const AttachedClient attached(options);
  engine.kill();
  tmx_result result{};
  // The first may still meet the old engine's memory.
  const int error = tmx_call(attached.channel, "A", 1, nullptr, 0, 30, &result);
  CHECK((error == -ENOTCONN || (error == 0 && result.outcome == TMX_NOT_SENT)));
  CHECK(tmx_call(attached.channel, "A", 1, nullptr, 0, 30, &result) == -ENOTCONN);
  CHECK(last_error(attached.client).contains("no engine listens"));
  std::thread caller([&] {
    CHECK(tmx_call(attached.channel, "A", 1, nullptr, 0, kLongMs, &result) == 0);
    CHECK(result.outcome == TMX_ANSWERED);
  });
  next_engine.begin();
  caller.join();
}

TEST_CASE("client.answers outlive their engine and old buffers are stale") {
  const FakeEngineNames names;
  const auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  const AttachedClient attached(options);
  tmx_buffer old;
  REQUIRE(tmx_reserve(attached.channel, &old) == 0);
  std::memcpy(old.data, "A draft", 7);
  REQUIRE(send(attached.channel, "A kept", 1) == 0);
  const auto kept = next(attached.channel);
  engine->kill();
  engine = std::make_unique<ForkedEngine>(options);
  send_when_possible(attached.channel, "S", 2);
  // Wherever that one went, by now or soon the next engine is there.
  tmx_buffer fresh;
  wait_until([&] {
    tmx_completion completion{};
    tmx_poll(attached.channel, &completion, 1, 0);
    return tmx_submit(attached.channel, &old, 0, 0, 0) == -ESTALE;
  });
  CHECK(tmx_submit(attached.channel, &old, 7, 3, 0) == -ESTALE);
  REQUIRE(tmx_reserve(attached.channel, &fresh) == 0);
  std::memcpy(fresh.data, old.data, 7);  // what was written there can be taken over
  REQUIRE(tmx_submit(attached.channel, &fresh, 7, 3, 0) == 0);
  CHECK(tmx_abandon(attached.channel, &old) == 0);
  CHECK(tmx_abandon(attached.channel, &old) == -EINVAL);
  CHECK(text_of(kept) == "A kept");
  CHECK(tmx_release(attached.channel, &kept) == 0);
  CHECK(tmx_release(attached.channel, &kept) == -EINVAL);
  auto completion = next(attached.channel);
  if (completion.tag == 2) completion = next(attached.channel);
  CHECK(text_of(completion) == "A draft");
  CHECK(tmx_release(attached.channel, &completion) == 0);
}

TEST_CASE("client.a new engine may have other slots and may refuse the channel") {
  const FakeEngineNames names;
  auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  auto wanted = attach_options(options);
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  tmx_channel* channel = nullptr;
  tmx_channel* second = nullptr;
  REQUIRE(tmx_channel_open(client, "HOST", &channel) == 0);
  REQUIRE(tmx_channel_open(client, "HOST2", &second) == 0);
  for (std::uint64_t tag = 0; tag < 4; ++tag) REQUIRE(send(channel, "S", tag) == 0);
  engine->kill();
  options.geometry = {.channels = 1, .slots_per_channel = 2, .slot_bytes = 128};
  engine = std::make_unique<ForkedEngine>(options);
  // There is room for one channel only: the first gets it.
  wait_until([&] {
    tmx_completion completion{};
    CHECK(tmx_poll(second, &completion, 1, 1) == 0);
    tmx_buffer buffer;
    const int error = tmx_reserve(second, &buffer);
    if (error == 0) CHECK(tmx_abandon(second, &buffer) == 0);
    return error == -EAGAIN;
  });
  CHECK(last_error(client) == "all channels are in use");
  // Four outcomes of the old engine wait: more than the new one allows at a time.
  tmx_buffer buffer;
  CHECK(tmx_reserve(channel, &buffer) == -EAGAIN);
  for (int i = 0; i < 4; ++i) CHECK(next(channel).reason == TMX_REASON_ENGINE_DIED);
  REQUIRE(tmx_reserve(channel, &buffer) == 0);
  CHECK(buffer.capacity == 128);
  CHECK(tmx_channel_close(channel) == 0);
  CHECK(tmx_channel_close(second) == 0);
  CHECK(tmx_detach(client) == 0);
}

TEST_CASE("client.deadlines hold while the engine hangs") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const AttachedClient attached(options);
  engine.signal(SIGSTOP);
  REQUIRE(send(attached.channel, "A", 1, 20) == 0);
  expect(attached.channel, 1, TMX_NOT_SENT, TMX_REASON_DEADLINE);
  tmx_result result{};
  CHECK(tmx_call(attached.channel, "A", 1, nullptr, 0, 20, &result) == 0);
  CHECK(result.outcome == TMX_NOT_SENT);
  engine.signal(SIGCONT);
  for (std::uint64_t tag = 0; tag < 8; ++tag) {
    send_when_possible(attached.channel, "A", tag);
    expect(attached.channel, tag, TMX_ANSWERED, TMX_REASON_NONE);
  }
}

TEST_CASE("client.a detached client settles, says why, and attaches again") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "Q", 1) == 0);
  REQUIRE(send(attached.channel, "S", 2) == 0);
  REQUIRE(send(attached.channel, "a", 3) == 0);
  wait_until([&] { return engine.slots_held() == 3; });
  engine.detach_clients("a descriptor names a slot that the client does not own");
  const auto got = take(attached.channel, 3);
  CHECK(got[0].outcome == TMX_NOT_SENT);
  CHECK(got[0].reason == TMX_REASON_DETACHED);
  CHECK(got[1].outcome == TMX_MAYBE_SENT);
  CHECK(got[1].reason == TMX_REASON_DETACHED);
  CHECK(got[2].outcome == TMX_ANSWERED);
  CHECK(last_error(attached.client) == "a descriptor names a slot that the client does not own");
  send_when_possible(attached.channel, "A", 4);
  expect(attached.channel, 4, TMX_ANSWERED, TMX_REASON_NONE);
  CHECK(text_of(got[2]) == "a");
  CHECK(tmx_release(attached.channel, &got[2]) == 0);
}

TEST_CASE("client.a closed control socket with the engine alive means detached") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "S", 1) == 0);
  wait_until([&] { return engine.slots_held() == 1; });
  engine.hang_up();
  expect(attached.channel, 1, TMX_MAYBE_SENT, TMX_REASON_DETACHED);
  send_when_possible(attached.channel, "A", 2);
  expect(attached.channel, 2, TMX_ANSWERED, TMX_REASON_NONE);
}

TEST_CASE("client.an engine that completes nonsense is left") {
  for (const std::string_view nonsense : {"N", "G", "B", "C"}) {
    CAPTURE(nonsense);
    const FakeEngineNames names;
    const auto options = names.options();
    ThreadEngine engine(options);
    const AttachedClient attached(options);
    REQUIRE(send(attached.channel, "S", 1) == 0);
    wait_until([&] { return engine.slots_held() == 1; });
    REQUIRE(send(attached.channel, nonsense, 2) == 0);
    const auto got = take(attached.channel, 2);
    CHECK(got[0].outcome == TMX_MAYBE_SENT);
    CHECK(got[0].reason == TMX_REASON_DETACHED);
    CHECK(got[1].outcome == TMX_NOT_SENT);  // it was never sealed
    CHECK(got[1].reason == TMX_REASON_DETACHED);
    CHECK(last_error(attached.client) == "the engine wrote a completion that makes no sense");
    send_when_possible(attached.channel, "A", 3);
    expect(attached.channel, 3, TMX_ANSWERED, TMX_REASON_NONE);
  }
}

TEST_CASE("client.an engine that breaks the request ring is left") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  // The client looks at the engine's position when its eight entries are used up.
  REQUIRE(send(attached.channel, "S", 1) == 0);
  for (int i = 0; i < 5; ++i) {
    REQUIRE(send(attached.channel, "A", 2) == 0);
    expect(attached.channel, 2, TMX_ANSWERED, TMX_REASON_NONE);
  }
  REQUIRE(send(attached.channel, "H", 3) == 0);
  wait_until([&] { return engine.slots_held() == 2; });
  REQUIRE(send(attached.channel, "A", 4) == 0);
  CHECK(send(attached.channel, "A", 5) == -ENOTCONN);
  const auto got = take(attached.channel, 3);
  CHECK(got[0].outcome == TMX_MAYBE_SENT);
  CHECK(got[1].outcome == TMX_NOT_SENT);
  CHECK(got[2].outcome == TMX_NOT_SENT);
  CHECK(last_error(attached.client) == "the engine wrote an impossible position into a request ring");
  send_when_possible(attached.channel, "A", 6);
  expect(attached.channel, 6, TMX_ANSWERED, TMX_REASON_NONE);
}

TEST_CASE("client.channels of several threads all find the next engine") {
  const FakeEngineNames names;
  const auto options = names.options();
  constexpr std::size_t kEngines = 6;
  std::vector<std::unique_ptr<ForkedEngine>> engines;
  for (std::size_t i = 0; i < kEngines; ++i) {
    engines.push_back(std::make_unique<ForkedEngine>(options, ForkedEngine::Begins::later));
  }
  engines[0]->begin();
  auto wanted = attach_options(options);
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  std::atomic<std::uint64_t> answered = 0;
  std::atomic<std::uint64_t> submitted = 0;
  std::atomic<std::uint64_t> ended = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      tmx_channel* channel = nullptr;
      if (tmx_channel_open(client, "HOST", &channel) != 0) return;
      std::uint64_t open = 0;
      while (!stop || open > 0) {
        while (!stop && send(channel, "A", 0) == 0) {
          ++submitted;
          ++open;
        }
        std::array<tmx_completion, 4> completions{};
        const int count = tmx_poll(channel, completions.data(), completions.size(), 1);
        for (int n = 0; n < count; ++n) {
          const auto& completion = completions[static_cast<std::size_t>(n)];
          answered += completion.outcome == TMX_ANSWERED ? 1 : 0;
          tmx_release(channel, &completion);
          ++ended;
          --open;
        }
      }
      tmx_channel_close(channel);
    });
  }
  for (std::size_t next = 1; next < kEngines; ++next) {
    const auto before = answered.load();
    wait_until([&] { return answered.load() > before + 300; });
    engines[next - 1]->kill();
    engines[next]->begin();
  }
  const auto before = answered.load();
  wait_until([&] { return answered.load() > before + 300; });
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(submitted == ended);
  CHECK(tmx_detach(client) == 0);
}
