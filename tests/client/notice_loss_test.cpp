// Notices when engines die or lie, and in forked children.
#include <sys/wait.h>
#include <unistd.h>

#include "tests/client/notice_fixture.hpp"

using namespace tlsmux::test;

TEST_CASE("client.notices outlive their engine and the next one lends anew") {
  const FakeEngineNames names;
  const auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  const Subscriber subscriber(options);
  const auto orphan = notice_after(subscriber.channel, "OA kept", 1);
  const auto unsolicited = notice_after(subscriber.channel, "Ukept too", 2);
  engine->kill();
  engine = std::make_unique<ForkedEngine>(options);
  // What is sent at first may still meet the old engine's memory.
  for (bool served = false; !served;) {
    send_when_possible(subscriber.channel, "A", 3);
    const auto completion = next(subscriber.channel);
    served = completion.outcome == TMX_ANSWERED;
    CHECK(tmx_release(subscriber.channel, &completion) == 0);
  }
  // Both pairs of the old engine are still held, and the new one has two of its own.
  for (std::uint64_t round = 0; round < 4; ++round) {
    const auto notice = notice_after(subscriber.channel, "Y" + std::to_string(round), 10 + round);
    CHECK(notice.tag == 10 + round);
    CHECK(tmx_release(subscriber.channel, &notice) == 0);
  }
  CHECK(request_of(orphan) == "OA kept");
  CHECK(text_of(unsolicited) == "kept too");
  CHECK(reply(subscriber.channel, unsolicited, "to nobody", 3) == -ESTALE);
  CHECK(tmx_release(subscriber.channel, &orphan) == 0);
  CHECK(tmx_release(subscriber.channel, &unsolicited) == 0);
  CHECK(tmx_release(subscriber.channel, &unsolicited) == -EINVAL);
}

TEST_CASE("client.a notice that was published before its engine died is delivered") {
  const FakeEngineNames names;
  const auto options = names.options();
  ForkedEngine engine(options);
  const Subscriber subscriber(options, 2, kAllFlags, TMX_NO_REATTACH);
  std::array<tmx_request, 2> requests{};
  const std::array<std::string_view, 2> scripts{"OL seen by nobody yet", "K"};
  for (std::size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(tmx_reserve(subscriber.channel, &requests[i].buffer) == 0);
    std::memcpy(requests[i].buffer.data, scripts[i].data(), scripts[i].size());
    requests[i].length = static_cast<std::uint32_t>(scripts[i].size());
    requests[i].tag = i;
  }
  REQUIRE(tmx_submit_many(subscriber.channel, requests.data(), requests.size()) == 2);
  engine.wait_dead();
  int notices = 0;
  int outcomes = 0;
  while (notices + outcomes < 3) {
    const auto completion = next(subscriber.channel);
    completion.kind == TMX_ORPHAN ? ++notices : ++outcomes;
    if (completion.kind == TMX_ORPHAN) CHECK(request_of(completion) == scripts[0]);
    CHECK(tmx_release(subscriber.channel, &completion) == 0);
  }
  CHECK(notices == 1);
  expect_nothing(subscriber.channel);
}

TEST_CASE("client.a new engine with fewer slots gets fewer pairs") {
  const FakeEngineNames names;
  auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  const Subscriber subscriber(options, 3);
  engine->kill();
  options.geometry = {.channels = 1, .slots_per_channel = 2, .slot_bytes = 128};
  engine = std::make_unique<ForkedEngine>(options);
  for (std::uint64_t tag = 0; tag < 5; ++tag) {  // one pair, for requests
    send_when_possible(subscriber.channel, "A", tag);
    auto completion = next(subscriber.channel);
    if (completion.reason == TMX_REASON_ENGINE_DIED) continue;
    CHECK(completion.outcome == TMX_ANSWERED);
    CHECK(tmx_release(subscriber.channel, &completion) == 0);
  }
}

TEST_CASE("client.an engine that delivers a nonsensical notice is left") {
  for (const std::string_view nonsense : {"X1", "X2", "X3", "X4", "X5", "X6"}) {
    CAPTURE(nonsense);
    const FakeEngineNames names;
    const auto options = names.options();
    ThreadEngine engine(options);
    const Subscriber subscriber(options);
    REQUIRE(send(subscriber.channel, nonsense, 1) == 0);
    const auto outcome = next(subscriber.channel);
    CHECK(outcome.kind == TMX_OUTCOME);
    CHECK(outcome.tag == 1);
    CHECK(outcome.reason == TMX_REASON_DETACHED);
    CHECK(last_error(subscriber.client) == "the engine wrote a completion that makes no sense");
    const auto notice = notice_after(subscriber.channel, "Uanew", 2);
    CHECK(text_of(notice) == "anew");
  }
}

TEST_CASE("client.a forked child can do nothing with notices") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const Subscriber subscriber(options);
  const auto notice = notice_after(subscriber.channel, "Uparent's", 1);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    tmx_buffer buffer{};
    tmx_channel* channel = nullptr;
    const auto flags = channel_options(kAllFlags, 1);
    std::uint32_t number = 0;
    const bool refused = tmx_release(subscriber.channel, &notice) == -ECHILD &&
                         tmx_reply(subscriber.channel, &notice, &buffer, 1, 1) == -ECHILD &&
                         tmx_next_trace_number(subscriber.channel, &number) == -ECHILD &&
                         tmx_channel_open_with(subscriber.client, "HOST", &flags, &channel) == -ECHILD;
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(text_of(notice) == "parent's");
  CHECK(tmx_release(subscriber.channel, &notice) == 0);
}

TEST_CASE("client.an unparsable request's field and offset are told") {
  const FakeEngineNames names;
  const auto options = names.options();
  ForkedEngine engine(options);
  const AttachedClient attached(options, TMX_NO_REATTACH);
  REQUIRE(send(attached.channel, "P", 1) == 0);
  const auto published = next(attached.channel);
  CHECK(published.outcome == TMX_NOT_SENT);
  CHECK(published.reason == TMX_REASON_UNPARSABLE);
  CHECK(published.error_field == 11);
  CHECK(published.error_offset == 42);
  tmx_result result{};
  REQUIRE(tmx_call(attached.channel, "P", 1, nullptr, 0, kLongMs, &result) == 0);
  CHECK(result.reason == TMX_REASON_UNPARSABLE);
  CHECK(result.error_field == 11);
  CHECK(result.error_offset == 42);
  REQUIRE(tmx_call(attached.channel, "R", 1, nullptr, 0, kLongMs, &result) == 0);
  CHECK(result.error_field == 0);
  CHECK(result.error_offset == 0);
  // Also when the engine dies before it has said so.
  REQUIRE(send(attached.channel, "p", 2) == 0);
  REQUIRE(send(attached.channel, "K", 3) == 0);
  engine.wait_dead();
  auto settled = next(attached.channel);
  if (settled.tag == 3) settled = next(attached.channel);
  CHECK(settled.tag == 2);
  CHECK(settled.reason == TMX_REASON_UNPARSABLE);
  CHECK(settled.error_field == 11);
  CHECK(settled.error_offset == 42);
}
