#include <array>
#include <set>

#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;

TEST_CASE("client.no function is a cancellation point") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  bool went_on = false;
  std::thread cancelled([&] {
    ::pthread_cancel(::pthread_self());
    const auto attaching = attach_options(options);
    tmx_client* client = nullptr;
    tmx_channel* channel = nullptr;
    tmx_completion completion{};
    tmx_result result{};
    went_on =
        tmx_attach(&attaching, &client) == 0 && tmx_channel_open(client, "HOST", &channel) == 0 &&
        send(channel, "A one", 1) == 0 && tmx_poll(channel, &completion, 1, kLongMs) == 1 &&
        tmx_release(channel, &completion) == 0 && tmx_call(channel, "A two", 5, nullptr, 0, kLongMs, &result) == 0 &&
        send(channel, "S", 2) == 0 && tmx_cancel(channel, 2) == 0 && tmx_channel_descriptor(channel) >= 0 &&
        tmx_poll(channel, &completion, 1, kLongMs) == 1 && tmx_channel_discard(channel) == 0 && tmx_detach(client) == 0;
    // The thread's own end is to come by itself.
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  });
  cancelled.join();
  CHECK(went_on);
}

TEST_CASE("client.a request is answered in place") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  tmx_buffer buffer;
  REQUIRE(tmx_reserve(attached.channel, &buffer) == 0);
  CHECK(buffer.capacity == options.message_bytes_max);
  std::memcpy(buffer.data, "A payload", 9);
  REQUIRE(tmx_submit(attached.channel, &buffer, 9, 0xfeedfacecafebeef, 0) == 0);
  const auto completion = next(attached.channel);
  CHECK(completion.tag == 0xfeedfacecafebeef);
  CHECK(completion.outcome == TMX_ANSWERED);
  CHECK(text_of(completion) == "A payload");
  CHECK(completion.data != buffer.data);
  CHECK(tmx_release(attached.channel, &completion) == 0);
  CHECK(tmx_release(attached.channel, &completion) == -EINVAL);
  expect_nothing(attached.channel);
}

TEST_CASE("client.what the engine decides is reported as it is") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  for (std::uint64_t tag = 1; tag < 50; ++tag) {
    REQUIRE(send(attached.channel, "R", tag) == 0);
    expect(attached.channel, tag, TMX_NOT_SENT, TMX_REASON_OVERLOAD);
    REQUIRE(send(attached.channel, "L", tag) == 0);
    expect(attached.channel, tag, TMX_MAYBE_SENT, TMX_REASON_HOST_CLOSED);
    REQUIRE(send(attached.channel, "A", tag) == 0);
    expect(attached.channel, tag, TMX_ANSWERED, TMX_REASON_NONE);
  }
}

TEST_CASE("client.several requests are submitted at once and polled at once") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  std::array<tmx_request, 4> requests{};
  for (std::size_t i = 0; i < requests.size(); ++i) {
    REQUIRE(tmx_reserve(attached.channel, &requests[i].buffer) == 0);
    std::memcpy(requests[i].buffer.data, "A", 1);
    requests[i].length = 1;
    requests[i].tag = i;
  }
  requests[3].length = 0;
  CHECK(tmx_submit_many(attached.channel, requests.data(), 4) == 3);
  CHECK(tmx_submit_many(attached.channel, &requests[3], 1) == -EINVAL);
  requests[3].length = 1;
  CHECK(tmx_submit_many(attached.channel, &requests[3], 1) == 1);
  std::set<std::uint64_t> tags;
  while (tags.size() < 4) {
    std::array<tmx_completion, 8> completions{};
    const int count = tmx_poll(attached.channel, completions.data(), completions.size(), kLongMs);
    REQUIRE(count > 0);
    for (int i = 0; i < count; ++i) {
      CHECK(tags.insert(completions[static_cast<std::size_t>(i)].tag).second);
      CHECK(tmx_release(attached.channel, &completions[static_cast<std::size_t>(i)]) == 0);
    }
  }
  expect_nothing(attached.channel);
}

TEST_CASE("client.a message that is empty or too long is refused at submit") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  tmx_buffer buffer;
  REQUIRE(tmx_reserve(attached.channel, &buffer) == 0);
  CHECK(tmx_submit(attached.channel, &buffer, 0, 1, 0) == -EINVAL);
  CHECK(tmx_submit(attached.channel, &buffer, buffer.capacity + 1, 1, 0) == -EMSGSIZE);
  CHECK(tmx_submit(attached.channel, &buffer, 1, 1, 0xffffffff) == -EINVAL);
  // It is still the caller's.
  std::memset(buffer.data, 'A', buffer.capacity);
  CHECK(tmx_submit(attached.channel, &buffer, buffer.capacity, 1, 0) == 0);
  CHECK(tmx_submit(attached.channel, &buffer, buffer.capacity, 1, 0) == -EINVAL);
  CHECK(tmx_abandon(attached.channel, &buffer) == -EINVAL);
  expect(attached.channel, 1, TMX_ANSWERED, TMX_REASON_NONE);

  std::string request(options.message_bytes_max + 1, 'A');
  tmx_result result{};
  CHECK(tmx_call(attached.channel, request.data(), static_cast<std::uint32_t>(request.size()), nullptr, 0, 0,
                 &result) == -EMSGSIZE);
  CHECK(tmx_call(attached.channel, request.data(), 0, nullptr, 0, 0, &result) == -EINVAL);
}

TEST_CASE("client.full slots are a try again until something is given back") {
  const FakeEngineNames names;
  const auto options = names.options();  // 8 slots: 4 requests
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  std::array<tmx_buffer, 5> buffers{};
  for (std::size_t i = 0; i < 4; ++i) REQUIRE(tmx_reserve(attached.channel, &buffers[i]) == 0);
  CHECK(tmx_reserve(attached.channel, &buffers[4]) == -EAGAIN);
  CHECK(tmx_abandon(attached.channel, &buffers[0]) == 0);
  CHECK(tmx_abandon(attached.channel, &buffers[0]) == -EINVAL);
  REQUIRE(tmx_reserve(attached.channel, &buffers[0]) == 0);
  for (std::size_t i = 0; i < 4; ++i) {
    std::memcpy(buffers[i].data, "A", 1);
    REQUIRE(tmx_submit(attached.channel, &buffers[i], 1, i, 0) == 0);
  }
  CHECK(tmx_reserve(attached.channel, &buffers[4]) == -EAGAIN);
  std::array<tmx_completion, 4> completions{};
  for (auto& completion : completions) completion = next(attached.channel);
  // Four answers are being read: room for two requests with their answers.
  REQUIRE(tmx_reserve(attached.channel, &buffers[0]) == 0);
  REQUIRE(tmx_reserve(attached.channel, &buffers[1]) == 0);
  CHECK(tmx_reserve(attached.channel, &buffers[2]) == -EAGAIN);
  for (const auto& completion : completions) CHECK(tmx_release(attached.channel, &completion) == 0);
  REQUIRE(tmx_reserve(attached.channel, &buffers[2]) == 0);
  REQUIRE(tmx_reserve(attached.channel, &buffers[3]) == 0);
  CHECK(tmx_reserve(attached.channel, &buffers[4]) == -EAGAIN);
}

TEST_CASE("client.outcomes that nobody polls keep their place") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  for (std::uint64_t tag = 0; tag < 4; ++tag) REQUIRE(send(attached.channel, "R", tag) == 0);
  tmx_result result{};
  // All four have ended, but only tmx_poll can say so to the application.
  CHECK(tmx_call(attached.channel, "A", 1, nullptr, 0, 50, &result) == -EAGAIN);
  for (std::uint64_t tag = 0; tag < 4; ++tag) expect(attached.channel, tag, TMX_NOT_SENT, TMX_REASON_OVERLOAD);
  CHECK(tmx_call(attached.channel, "A", 1, nullptr, 0, 0, &result) == 0);
}

TEST_CASE("client.a call returns its own answer and leaves the others") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "A first", 0) == 0);
  REQUIRE(send(attached.channel, "R second", 0) == 0);
  std::array<char, 200> response{};
  tmx_result result{};
  REQUIRE(tmx_call(attached.channel, "A call", 6, response.data(), response.size(), 0, &result) == 0);
  CHECK(result.outcome == TMX_ANSWERED);
  CHECK(std::string_view(response.data(), result.length) == "A call");
  // An answer longer than the room for it: as much as fits, and its whole length.
  response.fill('.');
  REQUIRE(tmx_call(attached.channel, "A call", 6, response.data(), 3, 0, &result) == 0);
  CHECK(result.length == 6);
  CHECK(std::string_view(response.data(), 5) == "A c..");
  REQUIRE(tmx_call(attached.channel, "L", 1, response.data(), 3, 0, &result) == 0);
  CHECK(result.outcome == TMX_MAYBE_SENT);
  CHECK(result.reason == TMX_REASON_HOST_CLOSED);
  CHECK(result.length == 0);
  const auto first = next(attached.channel);
  CHECK(text_of(first) == "A first");
  CHECK(next(attached.channel).outcome == TMX_NOT_SENT);
  expect_nothing(attached.channel);
  CHECK(tmx_release(attached.channel, &first) == 0);
}

TEST_CASE("client.a call waits for a slot") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  for (std::uint64_t tag = 0; tag < 4; ++tag) REQUIRE(send(attached.channel, "A", tag, 20'000) == 0);
  for (std::uint64_t tag = 0; tag < 3; ++tag) expect(attached.channel, tag, TMX_ANSWERED, TMX_REASON_NONE);
  tmx_result result{};
  CHECK(tmx_call(attached.channel, "A", 1, nullptr, 0, 0, &result) == 0);
  expect(attached.channel, 3, TMX_ANSWERED, TMX_REASON_NONE);
}

TEST_CASE("client.a queued request that is cancelled was not sent") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  CHECK(tmx_cancel(attached.channel, 1) == -ENOENT);
  REQUIRE(send(attached.channel, "Q", 1) == 0);
  CHECK(tmx_cancel(attached.channel, 2) == -ENOENT);
  CHECK(tmx_cancel(attached.channel, 1) == 0);
  CHECK(tmx_cancel(attached.channel, 1) == -ENOENT);
  expect(attached.channel, 1, TMX_NOT_SENT, TMX_REASON_CANCELLED);
  wait_until([&] { return engine.slots_held() == 0; });
  expect_nothing(attached.channel);
}

TEST_CASE("client.a request in sending that is cancelled may have been sent") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  for (int i = 0; i < 2; ++i) REQUIRE(send(attached.channel, "S", 1) == 0);
  wait_until([&] { return engine.slots_held() == 2; });
  CHECK(tmx_cancel(attached.channel, 1) == 0);  // both bear the tag
  expect(attached.channel, 1, TMX_MAYBE_SENT, TMX_REASON_CANCELLED);
  expect(attached.channel, 1, TMX_MAYBE_SENT, TMX_REASON_CANCELLED);
  // The engine returns the slots, and all can be used again.
  for (std::uint64_t tag = 0; tag < 4; ++tag) send_when_possible(attached.channel, "A", tag);
  for (std::uint64_t tag = 0; tag < 4; ++tag) expect(attached.channel, tag, TMX_ANSWERED, TMX_REASON_NONE);
}

TEST_CASE("client.what was answered cannot be cancelled any more") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "a", 1) == 0);
  wait_until([&] { return engine.slots_held() == 1; });
  // The engine has not published it yet, but the word tells.
  CHECK(tmx_cancel(attached.channel, 1) == 0);
  const auto completion = next(attached.channel);
  CHECK(completion.outcome == TMX_ANSWERED);
  CHECK(text_of(completion) == "a");
  engine.publish_withheld();
  expect_nothing(attached.channel);
  CHECK(tmx_release(attached.channel, &completion) == 0);
  CHECK(tmx_release(attached.channel, &completion) == -EINVAL);
}

TEST_CASE("client.an answer taken from the slot word keeps its slot until both sides gave it back") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  for (std::uint64_t tag = 0; tag < 4; ++tag) REQUIRE(send(attached.channel, "a", tag) == 0);
  wait_until([&] { return engine.slots_held() == 4; });
  for (std::uint64_t tag = 0; tag < 4; ++tag) {
    CHECK(tmx_cancel(attached.channel, tag) == 0);
    expect(attached.channel, tag, TMX_ANSWERED, TMX_REASON_NONE);
  }
  CHECK(send(attached.channel, "A", 9) == -EAGAIN);  // released here, but still the engine's
  engine.publish_withheld();
  send_when_possible(attached.channel, "A", 9);
  expect(attached.channel, 9, TMX_ANSWERED, TMX_REASON_NONE);
}

TEST_CASE("client.polling wants room and a deadline") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  tmx_completion completion{};
  CHECK(tmx_poll(attached.channel, &completion, 0, 0) == -EINVAL);
  CHECK(tmx_poll(attached.channel, nullptr, 1, 0) == -EINVAL);
  CHECK(tmx_poll(attached.channel, &completion, 1, 0xffffffff) == -EINVAL);
  CHECK(tmx_poll(nullptr, &completion, 1, 0) == -EINVAL);
  CHECK(tmx_poll(attached.channel, &completion, 1, 1) == 0);
}

TEST_CASE("client.the upstream's last error can be read in words") {
  const FakeEngineNames names;
  auto options = names.options();
  options.last_error = "certificate expired on 2020-01-01";
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  std::array<char, 64> text{};
  CHECK(tmx_upstream_last_error(attached.channel, text.data(), text.size()) == 33);
  CHECK(text.data() == options.last_error);
  CHECK(tmx_upstream_last_error(attached.channel, text.data(), 12) == 33);
  CHECK(text.data() == std::string_view("certificate"));
  tmx_channel* other = nullptr;
  REQUIRE(tmx_channel_open(attached.client, "HOST2", &other) == 0);
  CHECK(tmx_upstream_last_error(other, text.data(), text.size()) == 0);
  CHECK(tmx_channel_close(other) == 0);
}

TEST_CASE("client.threads use channels of one client at the same time") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  auto wanted = attach_options(options);
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  constexpr std::uint64_t kRequests = 3000;
  std::atomic<std::uint64_t> answered = 0;
  const auto work = [&](std::uint32_t spin) {
    tmx_channel* channel = nullptr;
    if (tmx_channel_open(client, "HOST", &channel) != 0) return;
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    while (received < kRequests) {
      while (sent < kRequests && send(channel, "A" + std::to_string(sent), sent) == 0) ++sent;
      std::array<tmx_completion, 4> completions{};
      const int count = tmx_poll(channel, completions.data(), completions.size(), spin == 0 ? kLongMs : 0);
      for (int i = 0; i < count; ++i) {
        const auto& completion = completions[static_cast<std::size_t>(i)];
        if (text_of(completion) == "A" + std::to_string(completion.tag)) ++answered;
        tmx_release(channel, &completion);
        ++received;
      }
    }
    tmx_channel_close(channel);
  };
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < 4; ++i) threads.emplace_back(work, i % 2);
  for (auto& thread : threads) thread.join();
  CHECK(answered == 4 * kRequests);
  CHECK(tmx_detach(client) == 0);
}
