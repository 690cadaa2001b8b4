#include <dirent.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;

namespace {

int open_descriptors() {
  int count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  REQUIRE(folder != nullptr);
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

struct AttachResult {
  int error = 0;
  std::string text;
};

AttachResult try_attach(const FakeEngineOptions& engine, std::uint32_t timeout_ms = kLongMs) {
  std::array<char, 200> text{};
  auto options = attach_options(engine);
  options.timeout_ms = timeout_ms;
  options.error_text = text.data();
  options.error_text_bytes = text.size();
  tmx_client* client = nullptr;
  AttachResult result;
  result.error = tmx_attach(&options, &client);
  result.text = text.data();
  CHECK((client != nullptr) == (result.error == 0));
  tmx_detach(client);
  return result;
}

AttachResult try_attach_to(Flaw flaw, std::uint32_t timeout_ms = kLongMs) {
  const FakeEngineNames names;
  auto options = names.options();
  options.flaw = flaw;
  const ThreadEngine engine(options);
  return try_attach(options, timeout_ms);
}

}  // namespace

TEST_CASE("client.attaching without an engine says so") {
  const FakeEngineNames names;
  const auto result = try_attach(names.options());
  CHECK(result.error == -ECONNREFUSED);
  CHECK(result.text.contains("is tlsmuxd running?"));
}

TEST_CASE("client.a refusal comes with its errno and words") {
  const FakeEngineNames names;
  auto options = names.options();
  options.refusal = EACCES;
  const ThreadEngine engine(options);
  const auto result = try_attach(options);
  CHECK(result.error == -EACCES);
  CHECK(result.text == "the fake engine refuses?this process");  // it was a control character
}

TEST_CASE("client.an unknown group is refused") {
  const FakeEngineNames names;
  const ThreadEngine engine(names.options());
  auto other = names.options();
  other.group = "another";
  CHECK(try_attach(other).error == -ENOENT);
}

TEST_CASE("client.an engine that does not answer is a timeout") {
  CHECK(try_attach_to(Flaw::silent, 30).error == -ETIMEDOUT);
}

TEST_CASE("client.an engine that closes during the attach is tried again until the time is over") {
  const auto result = try_attach_to(Flaw::closes, 50);
  CHECK(result.error == -ECONNRESET);
}

TEST_CASE("client.memory that is not as promised is not accepted") {
  CHECK(try_attach_to(Flaw::unsealed).error == -EPERM);
  CHECK(try_attach_to(Flaw::wrong_size).error == -EPROTO);
  CHECK(try_attach_to(Flaw::wrong_boot_id).error == -EPROTO);
  CHECK(try_attach_to(Flaw::no_pidfd).error == -EBADF);
}

TEST_CASE("client.options are checked before anything is tried") {
  const FakeEngineNames names;
  const auto engine = names.options();
  tmx_client* client = nullptr;
  const auto error_of = [&](auto change) {
    auto options = attach_options(engine);
    change(options);
    return tmx_attach(&options, &client);
  };
  CHECK(error_of([](tmx_attach_options& options) { options.struct_bytes = 8; }) == -EINVAL);
  CHECK(error_of([](tmx_attach_options& options) { options.flags = 0x80; }) == -EINVAL);
  CHECK(error_of([](tmx_attach_options& options) { options.group = ""; }) == -EINVAL);
  CHECK(error_of([](tmx_attach_options& options) { options.channels = 65; }) == -EINVAL);
  CHECK(error_of([](tmx_attach_options& options) { options.timeout_ms = 0xffffffff; }) == -EINVAL);
  const std::string long_name(64, 'g');
  CHECK(error_of([&](tmx_attach_options& options) { options.group = long_name.c_str(); }) == -EINVAL);
  const std::string long_path(200, 'p');
  CHECK(error_of([&](tmx_attach_options& options) { options.control_socket = long_path.c_str(); }) == -EINVAL);
  CHECK(tmx_attach(nullptr, nullptr) == -EINVAL);
}

TEST_CASE("client.longer options of a later version are accepted if their rest is zero") {
  const FakeEngineNames names;
  const auto engine_options = names.options();
  const ThreadEngine engine(engine_options);
  struct LaterOptions {
    tmx_attach_options known;
    std::uint64_t unknown;
  };
  LaterOptions options{.known = attach_options(engine_options), .unknown = 0};
  options.known.struct_bytes = sizeof options;
  tmx_client* client = nullptr;
  CHECK(tmx_attach(&options.known, &client) == 0);
  CHECK(tmx_detach(client) == 0);
  options.unknown = 1;
  CHECK(tmx_attach(&options.known, &client) == -EINVAL);
}

TEST_CASE("client.the environment names group and socket where the caller does not") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  ::setenv("TLSMUX_GROUP", options.group.c_str(), 1);
  ::setenv("TLSMUX_CONTROL_SOCKET", options.control_socket.c_str(), 1);
  tmx_client* client = nullptr;
  CHECK(tmx_attach(nullptr, &client) == 0);
  CHECK(tmx_detach(client) == 0);
  ::unsetenv("TLSMUX_GROUP");
  CHECK(tmx_attach(nullptr, &client) == -EINVAL);
  ::unsetenv("TLSMUX_CONTROL_SOCKET");
}

TEST_CASE("client.opening a channel is refused with the engine's errno") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  tmx_channel* channel = nullptr;
  CHECK(tmx_channel_open(attached.client, "FORBIDDEN", &channel) == -EACCES);
  CHECK(last_error(attached.client) == "the group may not use this upstream");
  CHECK(tmx_channel_open(attached.client, "NOWHERE", &channel) == -ENOENT);
  CHECK(last_error(attached.client) == "no such upstream");
  CHECK(tmx_channel_open(attached.client, "", &channel) == -EINVAL);
  CHECK(channel == nullptr);
}

TEST_CASE("client.closed channels can be opened again") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  const AttachedClient attached(options);
  for (int round = 0; round < 20; ++round) {
    std::array<tmx_channel*, 3> channels{};
    for (auto& channel : channels) REQUIRE(tmx_channel_open(attached.client, "HOST2", &channel) == 0);
    tmx_channel* one_too_many = nullptr;
    CHECK(tmx_channel_open(attached.client, "HOST2", &one_too_many) == -EAGAIN);
    for (auto* channel : channels) {
      REQUIRE(send(channel, "A again", 1) == 0);
      expect(channel, 1, TMX_ANSWERED, TMX_REASON_NONE);
      CHECK(tmx_channel_close(channel) == 0);
    }
  }
}

TEST_CASE("client.detaching waits for nobody but the application's own channels") {
  const FakeEngineNames names;
  const auto options = names.options();
  ThreadEngine engine(options);
  auto wanted = attach_options(options);
  tmx_client* client = nullptr;
  REQUIRE(tmx_attach(&wanted, &client) == 0);
  tmx_channel* channel = nullptr;
  REQUIRE(tmx_channel_open(client, "HOST", &channel) == 0);
  CHECK(tmx_detach(client) == -EBUSY);
  REQUIRE(send(channel, "S", 1) == 0);
  CHECK(tmx_channel_close(channel) == -EBUSY);
  CHECK(tmx_channel_discard(channel) == 0);
  CHECK(tmx_detach(client) == 0);
  CHECK(tmx_detach(nullptr) == 0);
  wait_until([&] { return engine.clients() == 0; });
}

TEST_CASE("client.nothing is left open after detaching") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const int before = open_descriptors();
  {
    const AttachedClient attached(options);
    REQUIRE(tmx_channel_descriptor(attached.channel) >= 0);
    REQUIRE(send(attached.channel, "A", 1) == 0);
    expect(attached.channel, 1, TMX_ANSWERED, TMX_REASON_NONE);
    CHECK(open_descriptors() > before);
  }
  CHECK(open_descriptors() == before);
}
