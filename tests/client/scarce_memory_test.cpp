// Memory that runs out in the library while requests are open: each still ends in its one outcome.
#include "tests/simulation/scarce_memory.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

#include "client/handles.hpp"
#include "tests/client/client_fixture.hpp"

using namespace tlsmux::test;
namespace client = tlsmux::client;
using tlsmux::simulation::ScarceMemory;

namespace {

constexpr std::uint64_t kAllocationsMax = 64;  // more than any of this needs

// With memory that ends at the first allocation, at the second, and so on until it is enough. Returns for how many it was not.
template <class Act>
std::uint64_t run_out_at_each(Act act) {
  for (std::uint64_t nth = 1; nth <= kAllocationsMax; ++nth) {
    CAPTURE(nth);
    if (!act(nth)) return nth - 1;
  }
  FAIL("it needs more memory with each attempt");
  return kAllocationsMax;
}

// Two channels of one client, and an engine that can be replaced.
struct Scene {
  Scene() { REQUIRE(tmx_channel_open(attached.client, "HOST2", &driver) == 0); }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene() { tmx_channel_discard(driver); }

  // Until the client has all its channels at the next one: the engine opens them in their order. Nobody looks at the first.
  void replace_engine() {
    engine->kill();
    engine = std::make_unique<ForkedEngine>(options);
    send_when_possible(driver, "A", ++driven);
    // What was asked of the old one may still end there.
    while (next(driver).outcome != TMX_ANSWERED) send_when_possible(driver, "A", ++driven);
  }

  FakeEngineNames names;
  FakeEngineOptions options = names.options();
  std::unique_ptr<ForkedEngine> engine = std::make_unique<ForkedEngine>(options);
  AttachedClient attached{options};
  tmx_channel* driver = nullptr;
  std::uint64_t driven = 0;
};

tmx_completion held_answer(tmx_channel* channel) {
  REQUIRE(send(channel, "Aheld", 1) == 0);
  return next(channel);
}

}  // namespace

TEST_CASE("outcome.a call that has submitted ends in its outcome when there is no memory for the next engine") {
  const auto failed = run_out_at_each([](std::uint64_t nth) {
    Scene scene;
    auto* const channel = scene.attached.channel;
    const auto held = held_answer(channel);
    tmx_buffer buffer;
    REQUIRE(tmx_reserve(channel, &buffer) == 0);
    std::memcpy(buffer.data, "Q", 1);
    REQUIRE(tmx_submit(channel, &buffer, 1, 2, 0) == 0);
    scene.replace_engine();
    // What tmx_call does from here on.
    client::RequestOutcome outcome;
    bool has_struck = false;
    {
      const ScarceMemory scarce(nth);
      CHECK_NOTHROW(outcome = channel->channel->wait_for(client::load_handle(buffer.handle)));
      has_struck = scarce.has_struck();
    }
    CHECK(outcome.outcome == tlsmux::shm::Outcome::not_sent);
    CHECK(outcome.reason == tlsmux::shm::Reason::engine_died);
    CHECK(text_of(held) == "Aheld");
    // It is at the next engine, or comes there by itself.
    tmx_result result{};
    CHECK(tmx_call(channel, "A", 1, nullptr, 0, kLongMs, &result) == 0);
    CHECK(result.outcome == TMX_ANSWERED);
    CHECK(tmx_release(channel, &held) == 0);
    return has_struck;
  });
  CHECK(failed > 0);
}

TEST_CASE("outcome.a poll brings the outcome when there is no memory for the next engine") {
  const auto failed = run_out_at_each([](std::uint64_t nth) {
    Scene scene;
    auto* const channel = scene.attached.channel;
    REQUIRE(tmx_channel_descriptor(channel) >= 0);
    const auto held = held_answer(channel);
    REQUIRE(send(channel, "Q", 2) == 0);
    scene.replace_engine();
    tmx_completion completion{};
    int polled = 0;
    bool has_struck = false;
    {
      const ScarceMemory scarce(nth);
      polled = tmx_poll(channel, &completion, 1, kLongMs);
      has_struck = scarce.has_struck();
    }
    CHECK(polled == 1);
    CHECK(completion.tag == 2);
    CHECK(completion.reason == TMX_REASON_ENGINE_DIED);
    CHECK(text_of(held) == "Aheld");
    send_when_possible(channel, "A", 3);
    expect(channel, 3, TMX_ANSWERED, TMX_REASON_NONE);
    CHECK(tmx_release(channel, &held) == 0);
    return has_struck;
  });
  CHECK(failed > 0);
}

// Else the library would go on telling a channel that nobody has: by a descriptor that is somebody else's by then.
TEST_CASE("client.a channel that is not opened for want of memory leaves nothing behind") {
  const auto failed = run_out_at_each([](std::uint64_t nth) {
    Scene scene;
    tmx_channel* third = nullptr;
    int error = 0;
    bool has_struck = false;
    {
      const ScarceMemory scarce(nth);
      error = tmx_channel_open(scene.attached.client, "HOST", &third);
      has_struck = scarce.has_struck();
    }
    CHECK((error == 0 || error == -ENOMEM));
    CHECK((error == 0) == (third != nullptr));
    std::array<tlsmux::shm::UniqueFd, 8> strangers;  // in the places of those that were closed
    for (auto& stranger : strangers) stranger = tlsmux::shm::UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    scene.replace_engine();
    scene.replace_engine();
    for (const auto& stranger : strangers) {
      std::uint64_t count = 0;
      CHECK(::read(stranger.get(), &count, sizeof count) == -1);
    }
    if (third != nullptr) CHECK(tmx_channel_close(third) == 0);
    return has_struck;
  });
  CHECK(failed > 0);
}

TEST_CASE("outcome.a channel that nobody wants any more is given up without memory") {
  const FakeEngineNames names;
  const auto options = names.options();
  const ThreadEngine engine(options);
  const AttachedClient attached(options);
  tmx_channel* channel = nullptr;
  const auto failed = run_out_at_each([&](std::uint64_t nth) {
    REQUIRE(tmx_channel_open(attached.client, "HOST", &channel) == 0);
    for (std::uint64_t tag = 0; tag < 3; ++tag) REQUIRE(send(channel, "A", tag) == 0);
    const ScarceMemory scarce(nth);
    CHECK(tmx_channel_discard(channel) == 0);
    return scarce.has_struck();
  });
  CHECK(failed > 0);
}
