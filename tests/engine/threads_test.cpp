// The engine's shard and clients as threads on one mapping: the same addresses on both sides, so that a thread
// sanitizer sees every access to shared memory that is not ordered. Between processes it sees none.

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <random>
#include <span>
#include <thread>

#include "client/attached_channel.hpp"
#include "engine/shard/shard.hpp"
#include "shm/client_part.hpp"
#include "shm/system/pidfd.hpp"
#include "tests/engine/echo_world.hpp"
#include "tests/support/no_stream_sockets.hpp"
#include "tests/support/seed.hpp"

namespace {

using namespace tlsmux;

constexpr int kClients = 4;
constexpr int kRequestsEach = 4000;
constexpr shm::ClientGeometry kGeometry{.channels = 1, .slots_per_channel = 16, .slot_bytes = 256};
constexpr int kStuckMs = 20'000;  // no wake for so long is a lost one

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

config::Config one_upstream() {
  config::Config config;
  config.groups.emplace_back().name = "THREADS";
  auto& upstream = config.upstreams.emplace_back();
  upstream.name = "host";
  upstream.groups = {"THREADS"};
  upstream.endpoints = {{.host = "127.0.0.1", .port = 9000}};
  upstream.framing.message_bytes_max = 200;
  upstream.correlation = {.kind = config::CorrelationKind::bytes, .offset = 0, .length = 8, .mask = {}};
  return config;
}

// The group's part, which both sides only need to exist.
struct GroupMemory {
  explicit GroupMemory(const config::Config& config)
      : tables(engine::group_tables(config, 0)),
        fd(*shm::create_client_memory(tables.total_bytes())),
        mapping(*shm::Mapping::map(fd.get(), tables.total_bytes(), shm::Access::read_write)),
        part(shm::GroupPart::format(mapping.bytes(), tables, {.group = "THREADS"})) {}

  shm::GroupTables tables;
  shm::UniqueFd fd;
  shm::Mapping mapping;
  shm::GroupPart part;
};

shm::UniqueFd duplicate(int fd) { return shm::UniqueFd(::dup(fd)); }

// What the control server does for one client, with both sides in this process.
client::OpenedChannel attach(engine::Shard& shard, const GroupMemory& group, engine::ClientId id) {
  auto memory = shm::create_client_memory(kGeometry.total_bytes());
  REQUIRE(memory);
  {
    auto formatting = shm::Mapping::map(memory->get(), kGeometry.total_bytes(), shm::Access::read_write);
    REQUIRE(formatting);
    shm::format_client(formatting->bytes(), kGeometry, {}, id);
  }
  shm::UniqueFd doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  shm::UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  client::AttachDescriptors descriptors{.group = duplicate(group.fd.get()),
                                        .client_memory = duplicate(memory->get()),
                                        .doorbell = duplicate(doorbell.get()),
                                        .engine = shm::open_pidfd(::getpid())};
  shm::AttachReply reply;
  reply.client_id = id;
  reply.group_bytes = group.tables.total_bytes();
  reply.client_bytes = kGeometry.total_bytes();
  reply.channels = kGeometry.channels;
  reply.slots_per_channel = kGeometry.slots_per_channel;
  reply.slot_bytes = kGeometry.slot_bytes;
  auto attachment = client::Attachment::accept(reply, descriptors, 1, *client::ForkGuard::create());
  REQUIRE(attachment);

  // The engine's mapping takes the place of the client's: the same pages at the same addresses.
  auto* const start = (*attachment)->channel(0).data() - kGeometry.channels_offset();
  auto shared = shm::Mapping::map(memory->get(), kGeometry.total_bytes(), shm::Access::read_write, start);
  REQUIRE(shared);
  shard.execute(engine::AdmitClient{.id = id,
                                    .group = 0,
                                    .pid = static_cast<std::uint32_t>(::getpid()),
                                    .uid = ::getuid(),
                                    .program = "threads",
                                    .geometry = kGeometry,
                                    .memory = std::make_shared<shm::Mapping>(std::move(*shared)),
                                    .doorbell = std::move(doorbell)});
  shard.execute(
      engine::OpenChannel{.client = id, .channel = 0, .upstream = "host", .flags = 0, .wake = duplicate(wake.get())});
  const auto replies = shard.take_replies();
  REQUIRE(replies.size() == 1);
  const auto& opened = std::get<engine::ChannelOpened>(replies.front());
  REQUIRE(opened.error == 0);
  shm::OpenChannelReply channel;
  channel.channel = opened.channel;
  channel.upstream = opened.upstream_row;
  channel.shard = opened.shard;
  channel.message_bytes_max = opened.message_bytes_max;
  channel.timeout_ms = opened.timeout_ms;
  return {.attachment = std::move(*attachment), .reply = channel, .wake = std::move(wake), .settings = {}};
}

struct ClientResult {
  int answered = 0;
  int other = 0;
  int wrong = 0;
  bool stuck = false;
};

class ClientThread {
 public:
  ClientThread(client::AttachedChannel& channel, std::uint64_t number)
      : channel_(&channel), number_(number), random_(test::seed() + number) {
    outcomes_.set_capacity(kGeometry.slots_per_channel);
  }

  ClientResult run() {
    while (result_.answered + result_.other < kRequestsEach && !result_.stuck) {
      submit();
      REQUIRE(channel_->collect(outcomes_));
      if (outcomes_.empty()) await_wake();
      while (!outcomes_.empty()) {
        const auto outcome = outcomes_.pop();
        channel_->hand_over(outcome);
        check(outcome);
      }
      channel_->publish_seen();
    }
    return result_;
  }

 private:
  // Some requests, some of which are cancelled again at once: races with the engine's taking and answering them.
  void submit() {
    int pushed = 0;
    while (submitted_ < kRequestsEach && channel_->has_free_slots() &&
           channel_->in_flight() < channel_->in_flight_max()) {
      const auto use = channel_->reserve();
      const auto tag = number_ << 32 | submitted_++;
      const auto length = static_cast<std::uint32_t>(8 + random_() % 180);
      auto bytes = channel_->slot_bytes(use.slot).first(length);
      std::memset(bytes.data(), static_cast<int>(tag & 0xff), length);
      std::memcpy(bytes.data(), &tag, sizeof tag);
      lengths_[tag & 0xff] = length;
      REQUIRE(channel_->push({.use = use, .length = length, .tag = tag, .timeout_ms = 60'000}, now_ns()) == 0);
      ++pushed;
    }
    if (pushed == 0) return;
    channel_->publish();
    if (random_() % 8 == 0) channel_->cancel(number_ << 32 | (submitted_ - 1), outcomes_);
  }

  void check(const client::RequestOutcome& outcome) {
    if (outcome.outcome != shm::Outcome::answered) {
      ++result_.other;
      return;
    }
    ++result_.answered;
    std::uint64_t tag = 0;
    std::memcpy(&tag, outcome.data, sizeof tag);
    const auto last = std::to_integer<std::uint64_t>(outcome.data[outcome.length - 1]);
    const bool right =
        tag == outcome.tag && outcome.length == lengths_[tag & 0xff] && (outcome.length == 8 || last == (tag & 0xff));
    result_.wrong += right ? 0 : 1;
    REQUIRE(channel_->release(outcome.answer.use));
  }

  void await_wake() {
    channel_->arm_wake();
    if (!channel_->has_completions()) {
      pollfd wake{.fd = channel_->wake_descriptor(), .events = POLLIN, .revents = 0};
      result_.stuck = ::poll(&wake, 1, kStuckMs) == 0;
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(wake.fd, &count, sizeof count);
    }
    channel_->disarm_wake();
  }

  client::AttachedChannel* channel_;
  std::uint64_t number_;
  std::mt19937_64 random_;
  client::OutcomeQueue outcomes_;
  ClientResult result_;
  std::uint64_t submitted_ = 0;
  std::array<std::uint32_t, 256> lengths_{};  // by tag; fewer than 256 are open at a time
};

void run_engine(engine::Shard& shard, test::EchoWorld& world, const std::atomic<bool>& stop) {
  bool busy = true;
  while (!stop.load(std::memory_order_acquire)) {
    if (!busy && shard.prepare_sleep()) world.await_bell(10);
    shard.set_time(static_cast<std::uint64_t>(now_ns()));
    busy = world.tell(shard);
    busy = shard.work() || busy;
  }
}

}  // namespace

TEST_CASE("ring.engine and clients as threads on one mapping") {
  const auto config = one_upstream();
  const GroupMemory group(config);
  test::EchoWorld world(engine::mux::session_places(config.upstreams[0]));
  test::NoStreamSockets stream_sockets;
  std::vector<std::unique_ptr<engine::tls::TlsClient>> tls_clients;
  tls_clients.push_back(std::make_unique<test::PlainTlsClient>());
  engine::Shard shard(
      config, {.network = world, .workers = world, .events = world, .bells = world, .stream_sockets = stream_sockets},
      std::move(tls_clients), engine::StatusBoard(config, std::span(&group.part, 1), 0), test::seed());
  shard.set_time(static_cast<std::uint64_t>(now_ns()));
  shard.start();

  std::vector<std::unique_ptr<client::AttachedChannel>> channels;
  for (engine::ClientId id = 1; id <= kClients; ++id) {
    channels.push_back(std::make_unique<client::AttachedChannel>(attach(shard, group, id)));
  }
  std::atomic<bool> stop = false;
  std::thread engine_thread(run_engine, std::ref(shard), std::ref(world), std::cref(stop));
  std::array<ClientResult, kClients> results;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kClients; ++i) {
      threads.emplace_back([&, i] { results[i] = ClientThread(*channels[i], i + 1).run(); });
    }
  }
  stop.store(true, std::memory_order_release);
  engine_thread.join();

  for (const auto& result : results) {
    CHECK_FALSE(result.stuck);
    CHECK(result.answered + result.other == kRequestsEach);
    CHECK(result.wrong == 0);
    CHECK(result.answered > kRequestsEach / 2);
  }
}
