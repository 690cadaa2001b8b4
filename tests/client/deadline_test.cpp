#include <array>

#include "tests/client/client_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux::test;

TEST_CASE("outcome.a queued request whose deadline passes was not sent") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "Q", 1, 10) == 0);
  expect(attached.channel, 1, TMX_NOT_SENT, TMX_REASON_DEADLINE);
  wait_until([&] { return engine.slots_held() == 0; });
  expect_nothing(attached.channel);
}

TEST_CASE("outcome.a request in sending whose deadline passes may have been sent") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "S", 1, 200) == 0);
  wait_until([&] { return engine.slots_held() == 1; });
  expect(attached.channel, 1, TMX_MAYBE_SENT, TMX_REASON_DEADLINE);
  wait_until([&] { return engine.slots_held() == 0; });
  expect_nothing(attached.channel);
}

TEST_CASE("outcome.the upstream's deadline holds where the request brings none") {
  const FakeEngineNames names;
  auto options = names.options();
  options.timeout_ms = 10;
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "Q", 1, 0) == 0);
  expect(attached.channel, 1, TMX_NOT_SENT, TMX_REASON_DEADLINE);
  tmx_result result{};
  CHECK(tmx_call(attached.channel, "Q", 1, nullptr, 0, 0, &result) == 0);
  CHECK(result.outcome == TMX_NOT_SENT);
  CHECK(result.reason == TMX_REASON_DEADLINE);
}

TEST_CASE("outcome.deadlines of several requests pass in their own order") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "Q", 60, 60) == 0);
  REQUIRE(send(attached.channel, "Q", 20, 20) == 0);
  REQUIRE(send(attached.channel, "Q", 40, 40) == 0);
  for (const std::uint64_t tag : {20U, 40U, 60U}) expect(attached.channel, tag, TMX_NOT_SENT, TMX_REASON_DEADLINE);
}

TEST_CASE("outcome.an answer that is decided but not published counts at the deadline") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "a", 1, 200) == 0);
  REQUIRE(send(attached.channel, "r", 2, 200) == 0);
  REQUIRE(send(attached.channel, "l", 3, 200) == 0);
  REQUIRE(send(attached.channel, "T", 4, 200) == 0);
  wait_until([&] { return engine.slots_held() == 4; });
  std::array<tmx_completion, 5> got{};
  for (int i = 0; i < 4; ++i) {
    const auto completion = next(attached.channel);
    REQUIRE(completion.tag < got.size());
    got[completion.tag] = completion;
  }
  CHECK(got[1].outcome == TMX_ANSWERED);
  CHECK(text_of(got[1]) == "a");
  CHECK(got[2].outcome == TMX_NOT_SENT);
  CHECK(got[2].reason == TMX_REASON_OVERLOAD);
  CHECK(got[3].outcome == TMX_MAYBE_SENT);
  CHECK(got[3].reason == TMX_REASON_HOST_CLOSED);
  CHECK(got[4].outcome == TMX_MAYBE_SENT);  // an answer that cannot be
  engine.publish_withheld();
  expect_nothing(attached.channel);
}

TEST_CASE("outcome.deadlines and answers race and every request has one outcome") {
  const FakeEngineNames names;
  auto options = names.options();
  options.geometry.slots_per_channel = 64;
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  constexpr std::uint64_t kRequests = 20'000;
  std::vector<std::uint8_t> outcomes(kRequests);
  std::array<std::uint64_t, 4> counts{};
  std::uint64_t random = seed();
  std::uint64_t sent = 0;
  std::uint64_t ended = 0;
  while (ended < kRequests) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    // Mostly answers, some silence, now and then a cancellation; deadlines of one millisecond.
    const auto dice = random >> 60;
    if (sent < kRequests) {
      const int error = send(attached.channel, dice == 0 ? "S" : dice == 1 ? "Q" : "A", sent, 1);
      if (error == 0) {
        ++sent;
      } else {
        CHECK(error == -EAGAIN);
      }
    }
    if (dice == 2 && sent > 0) tmx_cancel(attached.channel, sent - 1);
    std::array<tmx_completion, 8> completions{};
    const int count = tmx_poll(attached.channel, completions.data(), completions.size(), dice < 4 ? 1 : 0);
    REQUIRE(count >= 0);
    for (int i = 0; i < count; ++i) {
      const auto& completion = completions[static_cast<std::size_t>(i)];
      REQUIRE(completion.tag < sent);
      ++outcomes[completion.tag];
      ++counts[completion.outcome];
      CHECK(tmx_release(attached.channel, &completion) == 0);
      ++ended;
    }
  }
  CHECK(std::ranges::all_of(outcomes, [](std::uint8_t times) { return times == 1; }));
  CHECK(counts[TMX_ANSWERED] > 0);
  CHECK(counts[TMX_NOT_SENT] > 0);
  CHECK(counts[TMX_MAYBE_SENT] > 0);
  wait_until([&] { return engine.slots_held() == 0; });
  expect_nothing(attached.channel);
}
