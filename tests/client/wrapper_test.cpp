#include <tlsmux/tlsmux.hpp>

#include "tests/client/client_fixture.hpp"

using namespace std::chrono_literals;
using namespace tlsmux::test;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("client.the C++ wrapper owns what it hands out") {
  const FakeEngineNames names;
  const auto options = names.options();  // 4 requests at a time
  const ThreadEngine engine(options);
  auto client = tlsmux::Client::attach(attach_options(options));
  REQUIRE(client.has_value());
  auto channel = client->open("HOST");
  REQUIRE(channel.has_value());
  for (std::uint64_t round = 0; round < 20; ++round) {
    auto abandoned = channel->reserve();
    REQUIRE(abandoned.has_value());
    auto buffer = channel->reserve();
    REQUIRE(buffer.has_value());
    const std::string_view request = "A wrapped";
    std::ranges::copy(bytes_of(request), buffer->bytes().begin());
    CHECK(channel->submit(*buffer, buffer->bytes().size() + 1, round).error().code == -EMSGSIZE);
    REQUIRE(channel->submit(*buffer, request.size(), round, 10s).has_value());
    std::array<tlsmux::Completion, 3> completions;
    const auto got = channel->poll(completions, 10s);
    REQUIRE(got.has_value());
    REQUIRE(got->size() == 1);
    CHECK(got->front().tag() == round);
    CHECK(got->front().is_answered());
    CHECK(text_of(got->front().answer()) == request);
  }
}

TEST_CASE("client.the C++ wrapper reports errors and outcomes as values") {
  const FakeEngineNames names;
  auto options = names.options();
  options.last_error = "the host is closed on Sundays";
  CHECK(tlsmux::Client::attach(attach_options(options)).error().code == -ECONNREFUSED);
  const ThreadEngine engine(options);
  auto client = tlsmux::Client::attach(attach_options(options));
  REQUIRE(client.has_value());
  CHECK(client->open("FORBIDDEN").error().code == -EACCES);
  CHECK(client->last_error() == "the group may not use this upstream");
  auto channel = client->open("HOST");
  REQUIRE(channel.has_value());
  CHECK(channel->upstream_last_error() == options.last_error);
  CHECK(channel->descriptor().value_or(-1) >= 0);
  CHECK(channel->cancel(1).error().code == -ENOENT);
  std::array<std::byte, 64> response;
  const auto refused = channel->call(bytes_of("R"), response);
  REQUIRE(refused.has_value());
  CHECK(refused->outcome == TMX_NOT_SENT);
  const auto answered = channel->call(bytes_of("A hello"), response);
  REQUIRE(answered.has_value());
  CHECK(text_of(std::span(response).first(answered->length)) == "A hello");
  const auto empty = channel->call({}, response);
  CHECK(empty.error().code == -EINVAL);
  CHECK_FALSE(empty.error().is_passing());
  CHECK(channel->close().has_value());
}

TEST_CASE("client.the C++ wrapper hands out notices and trace numbers") {
  const FakeEngineNames names;
  auto options = names.options();
  options.notices = {"U0800", "OA request"};
  ThreadEngine engine(options);
  auto client = tlsmux::Client::attach(attach_options(options));
  REQUIRE(client.has_value());
  CHECK(client->open("HOST2", TMX_SUBSCRIBE_UNSOLICITED).error().code == -EACCES);
  auto channel = client->open("HOST", TMX_SUBSCRIBE_UNSOLICITED | TMX_SUBSCRIBE_ORPHANS, 1);
  REQUIRE(channel.has_value());
  CHECK(channel->next_trace_number().value() == 1);
  CHECK(channel->next_trace_number().value() == 2);
  std::array<tlsmux::Completion, 1> completions;
  REQUIRE(channel->poll(completions, 10s)->size() == 1);
  CHECK(completions[0].is_notice());
  CHECK(completions[0].kind() == TMX_UNSOLICITED);
  CHECK(text_of(completions[0].answer()) == "0800");
  auto buffer = channel->reserve();
  REQUIRE(buffer.has_value());
  std::ranges::copy(bytes_of("0810"), buffer->bytes().begin());
  REQUIRE(channel->reply(completions[0], *buffer, 4, 9).has_value());
  completions[0] = {};  // gives it back: the next one has room
  bool replied = false;
  for (bool orphaned = false; !orphaned || !replied;) {
    REQUIRE(channel->poll(completions, 10s)->size() == 1);
    if (completions[0].kind() == TMX_ORPHAN) {
      orphaned = true;
      CHECK(text_of(completions[0].request()) == "OA request");
      CHECK(text_of(completions[0].answer()) == "A request");
    } else {
      replied = true;
      CHECK(completions[0].reason() == TMX_REASON_REPLY_SENT);
    }
  }
  completions[0] = {};
  CHECK(channel->close().has_value());
}
