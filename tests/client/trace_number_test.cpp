#include <set>

#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;

namespace {

std::uint32_t next_number(tmx_channel* channel) {
  std::uint32_t number = 0;
  REQUIRE(tmx_next_trace_number(channel, &number) == 0);
  return number;
}

}  // namespace

TEST_CASE("client.trace numbers come in turn from the leased blocks") {
  const FakeEngineNames names;
  const auto options = names.options();  // blocks of four
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  for (std::uint32_t expected = 1; expected <= 1000; ++expected) {
    REQUIRE(next_number(attached.channel) == expected);
    if (expected % 100 == 0) {  // requests go on in between
      REQUIRE(send(attached.channel, "A", expected) == 0);
      expect(attached.channel, expected, TMX_ANSWERED, TMX_REASON_NONE);
    }
  }
}

TEST_CASE("client.trace numbers of several threads do not meet") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  auto wanted = attach_options(options);
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  constexpr std::size_t kThreads = 4;
  std::array<std::vector<std::uint32_t>, kThreads> taken;
  std::vector<std::thread> threads;
  for (auto& mine : taken) {
    threads.emplace_back([&mine, client] {
      tmx_channel* channel = nullptr;
      if (tmx_channel_open(client, "HOST", &channel) != 0) return;
      for (int i = 0; i < 500; ++i) {
        std::uint32_t number = 0;
        if (tmx_next_trace_number(channel, &number) == 0) mine.push_back(number);
      }
      tmx_channel_close(channel);
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<std::uint32_t> all;
  for (const auto& mine : taken) {
    CHECK(mine.size() == 500);
    all.insert(mine.begin(), mine.end());
  }
  CHECK(all.size() == kThreads * 500);
  CHECK(tmx_detach(client) == 0);
}

TEST_CASE("client.no trace number in time is an error") {
  const FakeEngineNames names;
  auto options = names.options();
  options.trace_block = 0;
  auto engine = std::make_unique<ForkedEngine>(options);
  auto wanted = attach_options(options);
  wanted.timeout_ms = 30;
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  tmx_channel* channel = nullptr;
  REQUIRE(tmx_channel_open(client, "HOST", &channel) == 0);
  std::uint32_t number = 0;
  CHECK(tmx_next_trace_number(channel, &number) == -ETIMEDOUT);
  CHECK(tmx_next_trace_number(channel, nullptr) == -EINVAL);
  engine->kill();
  wait_until([&] { return tmx_next_trace_number(channel, &number) == -ENOTCONN; });
  CHECK(tmx_channel_close(channel) == 0);
  CHECK(tmx_detach(client) == 0);
}

TEST_CASE("client.the next engine leases trace numbers of its own") {
  const FakeEngineNames names;
  auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  const AttachedClient attached(options);
  CHECK(next_number(attached.channel) == 1);
  engine->kill();
  options.trace_first = 500;
  engine = std::make_unique<ForkedEngine>(options);
  wait_until([&] { return next_number(attached.channel) >= 500; });
}

TEST_CASE("client.a wait for trace numbers loses no completion") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(tmx_channel_descriptor(attached.channel) >= 0);
  for (std::uint32_t round = 1; round <= 200; ++round) {
    REQUIRE(send(attached.channel, "A", round) == 0);
    REQUIRE(next_number(attached.channel) == round);
    expect(attached.channel, round, TMX_ANSWERED, TMX_REASON_NONE);
  }
}

TEST_CASE("client.an engine that leases nonsense is left") {
  const FakeEngineNames names;
  auto options = names.options();
  options.trace_first = 999'999'990;
  options.trace_block = 20;  // beyond the largest number there is
  auto engine = std::make_unique<ThreadEngine>(options);
  auto wanted = attach_options(options);
  wanted.timeout_ms = 200;
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  tmx_channel* channel = nullptr;
  REQUIRE(tmx_channel_open(client, "HOST", &channel) == 0);
  std::uint32_t number = 0;
  CHECK(tmx_next_trace_number(channel, &number) < 0);
  CHECK(last_error(client) == "the engine leased trace numbers that make no sense");
  CHECK(tmx_channel_discard(channel) == 0);
  CHECK(tmx_detach(client) == 0);
}
