// Clients that write what they like into their memory. The engine lets go of them and says why; nobody else notices.

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>

#include <doctest/doctest.h>

#include "tests/faults/neighbourhood.hpp"
#include "tests/faults/raw_channel.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/load_process.hpp"

namespace tlsmux::test {
namespace {

struct Offence {
  const char* rule;
  void (*commit)(RawChannel&);
};

// Submits a good request but for one change.
template <typename Change>
void submit_changed(RawChannel& channel, Change change) {
  auto descriptor = channel.good_request(keyed_message(900'000));
  change(descriptor);
  channel.submit(descriptor);
}

constexpr Offence kOffences[] = {
    {"a request ring's tail ran ahead of the ring",
     [](RawChannel& channel) { channel.publish_tail(channel.geometry().ring_entries() + 1); }},
    {"a request ring's tail ran ahead of the ring", [](RawChannel& channel) { channel.publish_tail(~0ULL); }},
    {"a descriptor asks for an unknown operation",
     [](RawChannel& channel) {
       submit_changed(channel, [](auto& one) { std::memset(&one.operation, 77, sizeof one.operation); });
     }},
    {"a descriptor names a slot that does not exist",
     [](RawChannel& channel) {
       submit_changed(channel, [&](auto& one) { one.request_slot = channel.geometry().slots_per_channel; });
     }},
    {"a descriptor names a slot that does not exist",
     [](RawChannel& channel) { submit_changed(channel, [](auto& one) { one.response_slot = ~0U; }); }},
    {"a descriptor names one slot for both directions",
     [](RawChannel& channel) { submit_changed(channel, [](auto& one) { one.response_slot = one.request_slot; }); }},
    {"a descriptor names a slot that is in use",
     [](RawChannel& channel) {
       const auto descriptor = channel.good_request(keyed_message(900'001));
       channel.submit(descriptor);
       channel.submit(descriptor);
     }},
    {"a descriptor's message is empty",
     [](RawChannel& channel) { submit_changed(channel, [](auto& one) { one.length = 0; }); }},
    {"a descriptor's message is longer than its slot or the upstream's limit",
     [](RawChannel& channel) {
       submit_changed(channel, [&](auto& one) { one.length = channel.geometry().slot_bytes + 1; });
     }},
    {"a descriptor's generation is impossible",
     [](RawChannel& channel) { submit_changed(channel, [](auto& one) { one.generation = shm::kGenerationMax + 1; }); }},
    {"a slot word was overwritten while its request was open",
     [](RawChannel& channel) {
       submit_changed(channel, [](auto&) {});
       channel.controls()[0].word.start(5);
     }},
};

// Writes the one and the other key by turns, as fast as it can, until it is destroyed.
std::jthread flip_keys(std::span<std::byte> slot, const std::string& one, const std::string& other) {
  return std::jthread([slot, one = one.substr(0, 16), other = other.substr(0, 16)](const std::stop_token& told) {
    while (!told.stop_requested()) {
      std::ranges::copy(std::as_bytes(std::span(one)), slot.begin());
      std::ranges::copy(std::as_bytes(std::span(other)), slot.begin());
    }
  });
}

// In a child: attaches again and again and scribbles until it is thrown out each time.
int run_scribbler(const config::Config& config, std::uint64_t seed) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::mt19937_64 random(seed);
  while (true) {
    auto channel = RawChannel::try_open(config, "acquirer");
    if (!channel) continue;  // no client may be free for a moment
    for (int i = 0; i < 200 && !channel->is_detached(); ++i) {
      scribble(*channel, random);
      channel->ring();
    }
  }
}

}  // namespace

TEST_CASE("hostile.each broken rule detaches the client that broke it, with a reason") {
  Neighbourhood place({"--mode", "echo", "--delay-us", "100000"});
  for (const auto& offence : kOffences) {
    CAPTURE(offence.rule);
    RawChannel channel(place.config(), "acquirer");
    place.rig().engine().log().forget();
    offence.commit(channel);
    CHECK(channel.await_detachment() == offence.rule);
    const auto line = place.rig().engine().log().wait_for("event=client_detached");
    CHECK_MESSAGE(line.find("reason=\"" + std::string(offence.rule) + "\"") != std::string::npos, line);
    CHECK_MESSAGE(line.find("pid=" + std::to_string(::getpid())) != std::string::npos, line);
    CHECK(line.find("0000000009000") == std::string::npos);  // never a byte of a message
  }
  place.check_and_stop();
}

TEST_CASE("hostile.clients that scribble over all of their memory") {
  Neighbourhood place({"--mode", "echo", "--delay-us", "1000", "--jitter-us", "5000", "--out-of-order"});
  INFO("TLSMUX_SEED=", seed());
  std::mt19937_64 random(seed());
  const char* more = std::getenv("TLSMUX_FAULTS_SECONDS");
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(more != nullptr ? std::atoi(more) : 5);
  auto& log = place.rig().engine().log();
  while (std::chrono::steady_clock::now() < until || log.count("event=client_detached") <= 10) {
    std::vector<std::unique_ptr<ChildProcess>> scribblers;
    for (int i = 0; i < 3; ++i) {
      const auto own_seed = random();
      scribblers.push_back(
          std::make_unique<ChildProcess>([&place, own_seed] { return run_scribbler(place.config(), own_seed); }));
    }
    ::poll(nullptr, 0, 200 + static_cast<int>(random() % 300));
    for (auto& scribbler : scribblers) {
      scribbler->send_signal(SIGKILL);
      CHECK(scribbler->wait() == 128 + SIGKILL);
    }
  }
  place.check_and_stop();
}

// Had the engine judged one key and sent another, such a client could be given its neighbour's answer, or the neighbour
// its own. That it keeps the neighbour from using a key at the same time is in the nature of a shared upstream.
TEST_CASE("hostile.a client that changes its key to the neighbour's while its request is under way") {
  Neighbourhood place({"--mode", "echo", "--delay-us", "20000"});
  place.tolerate(TMX_REASON_DUPLICATE_KEY);
  {
    RawChannel channel(place.config(), "acquirer");
    const auto mine = keyed_message(900'002);
    std::mt19937_64 random(seed());
    std::uint64_t answers = 0;
    for (std::uint64_t round = 1; round <= 150; ++round) {
      std::ranges::fill(channel.slot(1), std::byte{0});
      auto descriptor = channel.good_request(mine);
      channel.controls()[0].word.start(round);
      descriptor.generation = round;
      const auto about = upstream_facts(place.rig().group(), "acquirer").answered + random() % 32;
      {
        const auto flipper = flip_keys(channel.slot(0), mine, load_message(seed(), 1, about, 16));
        channel.submit(descriptor);
        channel.await_completions(round);
      }
      if (channel.slot(1)[20] == std::byte{0}) continue;  // not answered
      ++answers;
      CHECK(std::ranges::equal(channel.slot(1).subspan(16, 48), std::as_bytes(std::span(mine)).subspan(16, 48)));
    }
    CHECK(answers > 0);
    CHECK_FALSE(channel.is_detached());
    // Each key that was sent had been judged: its answer found the request.
    CHECK(upstream_facts(place.rig().group(), "acquirer").unsolicited == 0);
  }
  place.check_and_stop();
}

TEST_CASE("hostile.a client that never takes its completions overwrites only its own") {
  Neighbourhood place({"--mode", "echo"});
  {
    RawChannel channel(place.config(), "acquirer");
    const auto rounds = 3ULL * channel.geometry().ring_entries();
    for (std::uint64_t round = 1; round <= rounds; ++round) {
      auto descriptor = channel.good_request(keyed_message(900'100 + round));
      channel.controls()[0].word.start(round);
      descriptor.generation = round;
      channel.submit(descriptor);
      channel.await_completions(round);
    }
    CHECK_FALSE(channel.is_detached());
  }
  place.check_and_stop();
}

TEST_CASE("hostile.a client cannot shrink, punch, map anew or unseal its memory, nor write the group's") {
  Neighbourhood place({"--mode", "echo"});
  {
    RawChannel channel(place.config(), "acquirer");
    const int memory = channel.offer().memory.get();
    const auto bytes = channel.memory().size();
    CHECK(::ftruncate(memory, 0) == -1);
    CHECK(errno == EPERM);
    CHECK(::ftruncate(memory, static_cast<off_t>(2 * bytes)) == -1);
    CHECK(errno == EPERM);
    CHECK(::fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == -1);
    CHECK(errno == EPERM);
    CHECK(::madvise(channel.memory().data(), bytes, MADV_REMOVE) == -1);
    CHECK(::fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) == -1);
    CHECK(errno == EPERM);
    CHECK(::write(memory, "x", 1) == -1);
    CHECK(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) == MAP_FAILED);
    const int group = channel.offer().group.get();
    const auto group_bytes = channel.offer().reply.group_bytes;
    CHECK(::mmap(nullptr, group_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, group, 0) == MAP_FAILED);
    CHECK(::ftruncate(group, 0) == -1);
    channel.submit(channel.good_request(keyed_message(900'003)));
    channel.await_completions(1);
  }
  place.check_and_stop();
}

TEST_CASE("hostile.a client that punches its memory before it is served") {
  Neighbourhood place({"--mode", "echo"});
  for (int i = 0; i < 5; ++i) {
    ControlClient control(place.config().engine.control_socket);
    const auto offer = control.begin_attach(place.rig().group());
    REQUIRE(offer);
    if (!offer) return;
    const auto bytes = static_cast<off_t>(offer->reply.client_bytes);
    REQUIRE(::fallocate(offer->memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, bytes) == 0);
    REQUIRE(control.send(shm::MappedNotice{}));
    CHECK(control.send_open_channel("acquirer"));  // filled again
    CHECK(control.receive_as<shm::OpenChannelReply>());
  }
  place.check_and_stop();
}

// It shares the flags of its eventfds with the engine.
TEST_CASE("hostile.a client whose wake descriptor is full and may block is let go of") {
  Neighbourhood place({"--mode", "echo"});
  shm::UniqueFd kept;
  {
    RawChannel channel(place.config(), "acquirer");
    REQUIRE(::fcntl(channel.wake(), F_SETFL, 0) == 0);
    const std::uint64_t full = ~std::uint64_t{0} - 1;
    REQUIRE(::write(channel.wake(), &full, sizeof full) == sizeof full);
    channel.header().client_armed.store(1);
    channel.submit(channel.good_request(keyed_message(900'004)));
    channel.await_completions(1);
    await([&] { return channel.header().client_armed.load() == 0; });  // it is being woken
    kept.reset(::dup(channel.wake()));
  }
  place.check_and_stop();
}

// The broker keeps the listener open, so that the next engine finds them.
TEST_CASE("hostile.connections that wait while the engine drains do not make it spin") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) { config.engine.drain_timeout_ms = 60'000; });
  Requester requester(rig.config);
  CHECK(requester.submit("never answered") == 0);
  rig.await_received(1);
  const auto engine = rig.engine().engine_pid();
  REQUIRE(::kill(rig.engine().broker_pid(), SIGTERM) == 0);
  rig.engine().log().wait_for("event=draining");
  const ControlClient waiting(rig.config.engine.control_socket);
  CHECK(waiting.connected());
  await([&] { return is_asleep(engine); });
  rig.host.kill();  // what it drained for is over
  CHECK(rig.engine().wait() == 0);
}

TEST_CASE("hostile.stream takes no descriptors") {
  if (skip_without_descriptor_refusal()) return;
  Rig rig({"--mode", "echo"});
  rig.engine().await_sessions(1);
  ControlClient client(rig.config.engine.control_socket);
  shm::OpenStreamRequest request;
  shm::set_text(request.upstream, "acquirer");
  REQUIRE(client.send(request));
  const auto packet = client.receive();
  REQUIRE(packet);
  REQUIRE(packet->descriptors.size() == 1);
  const auto sent = shm::send_packet(packet->descriptors[0].get(), std::as_bytes(std::span("x")), std::array{0});
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == EPERM);
  rig.stop();
}

}  // namespace tlsmux::test
