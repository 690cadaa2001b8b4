#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>

#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;

namespace {

bool readable(int descriptor, std::uint32_t timeout_ms = 0) {
  pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, static_cast<int>(timeout_ms)) == 1;
}

// Polls as an event loop does: only when the descriptor says so. Expects exactly one completion in the end.
tmx_completion next_by_descriptor(tmx_channel* channel, int descriptor) {
  for (;;) {
    REQUIRE(readable(descriptor, kLongMs));
    tmx_completion completion{};
    if (tmx_poll(channel, &completion, 1, 0) == 1) return completion;
  }
}

// The descriptor comes to rest: whatever made it ready is dealt with by polling.
void expect_rest(tmx_channel* channel, int descriptor) {
  wait_until([&] {
    if (!readable(descriptor)) return true;
    expect_nothing(channel);
    return false;
  });
}

}  // namespace

TEST_CASE("client.the descriptor is readable when something waits and at rest when nothing does") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(send(attached.channel, "A", 1) == 0);
  const int descriptor = tmx_channel_descriptor(attached.channel);
  REQUIRE(descriptor >= 0);
  CHECK(tmx_channel_descriptor(attached.channel) == descriptor);
  CHECK(next_by_descriptor(attached.channel, descriptor).tag == 1);
  expect_rest(attached.channel, descriptor);

  REQUIRE(send(attached.channel, "R", 2) == 0);
  CHECK(next_by_descriptor(attached.channel, descriptor).tag == 2);
  expect_rest(attached.channel, descriptor);

  // What the engine does not decide does not wake anybody.
  REQUIRE(send(attached.channel, "S", 3) == 0);
  wait_until([&] { return engine.slots_held() == 1; });
  CHECK_FALSE(readable(descriptor));
  CHECK(tmx_cancel(attached.channel, 3) == 0);
  CHECK(next_by_descriptor(attached.channel, descriptor).outcome == TMX_MAYBE_SENT);
  expect_rest(attached.channel, descriptor);
}

TEST_CASE("client.the descriptor stays readable until all completions were taken") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  const int descriptor = tmx_channel_descriptor(attached.channel);
  expect_rest(attached.channel, descriptor);
  for (std::uint64_t tag = 0; tag < 4; ++tag) REQUIRE(send(attached.channel, "a", tag) == 0);
  wait_until([&] { return engine.slots_held() == 4; });
  engine.publish_withheld();
  for (std::uint64_t tag = 0; tag < 4; ++tag) {
    CHECK(readable(descriptor));
    expect(attached.channel, tag, TMX_ANSWERED, TMX_REASON_NONE);
  }
  expect_rest(attached.channel, descriptor);
}

TEST_CASE("client.deadlines make the descriptor readable while the engine hangs") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const AttachedClient attached(options);
  const int descriptor = tmx_channel_descriptor(attached.channel);
  expect_rest(attached.channel, descriptor);
  engine.signal(SIGSTOP);
  REQUIRE(send(attached.channel, "A", 1, 1000) == 0);
  REQUIRE(send(attached.channel, "A", 2, 20) == 0);  // earlier than the one that is set
  CHECK(next_by_descriptor(attached.channel, descriptor).tag == 2);
  CHECK(next_by_descriptor(attached.channel, descriptor).tag == 1);
  expect_rest(attached.channel, descriptor);
  engine.signal(SIGCONT);
}

TEST_CASE("client.an event loop survives its engine by the descriptor alone") {
  const FakeEngineNames names;
  const auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  const AttachedClient attached(options);
  const int descriptor = tmx_channel_descriptor(attached.channel);
  for (std::uint64_t round = 1; round <= 3; ++round) {
    REQUIRE(send(attached.channel, "S", round) == 0);
    engine->kill();
    const auto completion = next_by_descriptor(attached.channel, descriptor);
    CHECK(completion.tag == round);
    CHECK(completion.reason == TMX_REASON_ENGINE_DIED);
    engine = std::make_unique<ForkedEngine>(options);
    // Nothing but the descriptor tells when to try again.
    for (;;) {
      REQUIRE(readable(descriptor, kLongMs));
      expect_nothing(attached.channel);
      tmx_buffer buffer;
      const int error = tmx_reserve(attached.channel, &buffer);
      if (error == 0) {
        CHECK(tmx_abandon(attached.channel, &buffer) == 0);
        break;
      }
      CHECK(error == -ENOTCONN);
    }
    REQUIRE(send(attached.channel, "A", 100 + round) == 0);
    CHECK(next_by_descriptor(attached.channel, descriptor).tag == 100 + round);
  }
}

TEST_CASE("client.no wake is lost over many rounds in an epoll loop") {
  const FakeEngineNames names;
  auto options = names.options();
  options.geometry.slots_per_channel = 16;
  const ThreadEngine engine(options);
  auto wanted = attach_options(options);
  wanted.spin_us = TMX_SPIN_NEVER;
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  std::array<tmx_channel*, 2> channels{};
  const int loop = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::uint32_t i = 0; i < channels.size(); ++i) {
    REQUIRE(tmx_channel_open(client, "HOST", &channels[i]) == 0);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = i;
    REQUIRE(::epoll_ctl(loop, EPOLL_CTL_ADD, tmx_channel_descriptor(channels[i]), &event) == 0);
  }
  constexpr std::uint64_t kRequests = 5000;
  std::array<std::uint64_t, 2> sent{};
  std::array<std::uint64_t, 2> received{};
  while (received[0] + received[1] < 2 * kRequests) {
    for (std::uint32_t i = 0; i < channels.size(); ++i) {
      while (sent[i] < kRequests && send(channels[i], "A", sent[i]) == 0) ++sent[i];
    }
    epoll_event event{};
    REQUIRE(::epoll_wait(loop, &event, 1, kLongMs) == 1);
    const auto i = event.data.u32;
    std::array<tmx_completion, 3> completions{};
    const int count = tmx_poll(channels[i], completions.data(), completions.size(), 0);
    for (int n = 0; n < count; ++n) {
      REQUIRE(tmx_release(channels[i], &completions[static_cast<std::size_t>(n)]) == 0);
    }
    received[i] += static_cast<std::uint64_t>(count);
  }
  ::close(loop);
  for (auto* channel : channels) CHECK(tmx_channel_close(channel) == 0);
  CHECK(tmx_detach(client) == 0);
}

TEST_CASE("client.blocking and event-driven use can be mixed") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  const int descriptor = tmx_channel_descriptor(attached.channel);
  for (std::uint64_t tag = 0; tag < 200; ++tag) {
    tmx_result result{};
    REQUIRE(tmx_call(attached.channel, "A", 1, nullptr, 0, 0, &result) == 0);
    REQUIRE(send(attached.channel, "R", tag) == 0);
    CHECK(next_by_descriptor(attached.channel, descriptor).tag == tag);
    REQUIRE(send(attached.channel, "R", tag) == 0);
    expect(attached.channel, tag, TMX_NOT_SENT, TMX_REASON_OVERLOAD);
  }
}
