#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;

namespace {

// Runs `child` in a forked process; true if it returned true.
bool in_child(const std::function<bool()>& child) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(child() ? 0 : 1);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("client.a forked child's handles fail cleanly and disturb nothing") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const AttachedClient attached(options);
  tmx_buffer buffer;
  REQUIRE(tmx_reserve(attached.channel, &buffer) == 0);
  REQUIRE(send(attached.channel, "A mine", 1) == 0);
  const auto kept = next(attached.channel);
  REQUIRE(send(attached.channel, "S", 2) == 0);
  CHECK(in_child([&] {
    tmx_buffer other;
    tmx_request request{};
    tmx_completion completion{};
    tmx_result result{};
    tmx_channel* channel = nullptr;
    char text[8];
    const std::array errors{
        tmx_reserve(attached.channel, &other),
        tmx_abandon(attached.channel, &buffer),
        tmx_submit(attached.channel, &buffer, 1, 1, 0),
        tmx_submit_many(attached.channel, &request, 1),
        tmx_poll(attached.channel, &completion, 1, 0),
        tmx_release(attached.channel, &kept),
        tmx_cancel(attached.channel, 2),
        tmx_call(attached.channel, "A", 1, nullptr, 0, 1, &result),
        tmx_channel_descriptor(attached.channel),
        tmx_upstream_last_error(attached.channel, text, sizeof text),
        tmx_channel_open(attached.client, "HOST", &channel),
        tmx_client_last_error(attached.client, text, sizeof text),
    };
    return std::ranges::all_of(errors, [](int error) { return error == -ECHILD; });
  }));
  // The parent's are as they were.
  CHECK(tmx_cancel(attached.channel, 2) == 0);
  CHECK(next(attached.channel).tag == 2);
  CHECK(text_of(kept) == "A mine");
  std::memcpy(buffer.data, "A", 1);
  CHECK(tmx_submit(attached.channel, &buffer, 1, 3, 0) == 0);
  expect(attached.channel, 3, TMX_ANSWERED, TMX_REASON_NONE);
}

TEST_CASE("client.a forked child frees its copies and attaches for itself") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const AttachedClient attached(options);
  REQUIRE(tmx_channel_descriptor(attached.channel) >= 0);
  REQUIRE(send(attached.channel, "S", 1) == 0);
  CHECK(in_child([&] {
    // Whatever the child has mapped where the parent's segment is must survive the freeing.
    if (tmx_channel_close(attached.channel) != 0 || tmx_detach(attached.client) != 0) return false;
    auto wanted = attach_options(options);
    tmx_client* client = nullptr;
    tmx_channel* channel = nullptr;
    tmx_result result{};
    return tmx_attach(&wanted, &client) == 0 && tmx_channel_open(client, "HOST", &channel) == 0 &&
           tmx_call(channel, "A", 1, nullptr, 0, kLongMs, &result) == 0 && result.outcome == TMX_ANSWERED &&
           tmx_channel_close(channel) == 0 && tmx_detach(client) == 0;
  }));
  // The parent's connection, watched descriptors and open request have not suffered.
  CHECK(tmx_cancel(attached.channel, 1) == 0);
  CHECK(next(attached.channel).tag == 1);
  REQUIRE(send(attached.channel, "A", 2) == 0);
  expect(attached.channel, 2, TMX_ANSWERED, TMX_REASON_NONE);
}

TEST_CASE("client.freeing a child's copies unmaps nothing that the child has mapped") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ForkedEngine engine(options);
  const AttachedClient attached(options);
  tmx_buffer buffer;
  REQUIRE(tmx_reserve(attached.channel, &buffer) == 0);
  auto* const page = static_cast<std::byte*>(buffer.data) - reinterpret_cast<std::uintptr_t>(buffer.data) % 4096;
  CHECK(in_child([&] {
    auto* mine = ::mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (mine == MAP_FAILED) return false;  // the parent's segment was inherited after all
    std::memset(mine, 42, 4096);
    if (tmx_channel_close(attached.channel) != 0 || tmx_detach(attached.client) != 0) return false;
    return static_cast<char*>(mine)[100] == 42;
  }));
  CHECK(tmx_abandon(attached.channel, &buffer) == 0);
}

TEST_CASE("client.a parent finds its next engine while a child holds copies of its descriptors") {
  const FakeEngineNames names;
  const auto options = names.options();
  auto engine = std::make_unique<ForkedEngine>(options);
  const AttachedClient attached(options);
  std::array<int, 2> gate{};
  REQUIRE(::pipe(gate.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char nothing = 0;
    ::close(gate[1]);
    ::_exit(::read(gate[0], &nothing, 1) == 0 ? 0 : 1);
  }
  ::close(gate[0]);
  for (std::uint64_t round = 0; round < 3; ++round) {
    REQUIRE(send(attached.channel, "S", round) == 0);
    engine->kill();
    engine = std::make_unique<ForkedEngine>(options);
    CHECK(next(attached.channel).reason == TMX_REASON_ENGINE_DIED);
    send_when_possible(attached.channel, "A", round);
    expect(attached.channel, round, TMX_ANSWERED, TMX_REASON_NONE);
  }
  ::close(gate[1]);
  engine.reset();  // it has inherited the gate as well
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
