#include "engine/data_loop.hpp"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <future>

#include "engine/event_log.hpp"
#include "engine/io/io_loop.hpp"
#include "engine/resolver.hpp"
#include "engine/shard.hpp"
#include "engine/workers.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine {
namespace {

using Started = std::promise<std::expected<void, shm::SystemError>>;

// The io loop's watches: two of our own, then the clients'.
constexpr std::uint32_t kCommandsWatch = 0;
constexpr std::uint32_t kResultsWatch = 1;
constexpr std::uint32_t kFirstClientWatch = 2;

constexpr std::uint64_t kWallClockIntervalNs = 1'000'000'000;
constexpr std::uint64_t kSleepNsMax = 1'000'000'000;  // the heartbeat goes on

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// Seconds east of UTC.
std::int32_t local_offset_s(std::int64_t utc_s) {
  const std::time_t time = utc_s;
  std::tm local{};
  return ::localtime_r(&time, &local) != nullptr ? static_cast<std::int32_t>(local.tm_gmtoff) : 0;
}

// The threads that may take long, as the multiplexer wants them.
class WorkerThreads final : public mux::Workers {
 public:
  explicit WorkerThreads(std::uint32_t threads) : workers_(results_, threads), resolver_(results_) {}

  void resolve(mux::SessionId session, const std::string& host, std::uint16_t port) override {
    resolver_.submit({.session = session, .host = host, .port = port});
  }
  void handshake(mux::SessionId session, std::unique_ptr<tls::TlsSession> tls,
                 std::vector<std::byte> received) override {
    const bool taken = workers_.submit({.session = session, .tls = std::move(tls), .received = std::move(received)});
    TMX_ASSERT(taken);  // one step at a time for each session, and there is a place for each
  }

  Mailbox<WorkerResult>& results() { return results_; }

 private:
  Mailbox<WorkerResult> results_;
  engine::Workers workers_;
  Resolver resolver_;
};

class Loop final : public io::IoEvents, public Bells {
 public:
  Loop(DataLoopParts& parts, io::IoLoop& io)
      : commands_(&parts.commands),
        replies_(&parts.replies),
        io_(&io),
        events_(parts.log),
        workers_(parts.config.engine.worker_threads),
        shard_(parts.config, {io, workers_, events_, *this}, std::move(parts.tls_clients), std::move(parts.board),
               parts.seed) {
    io.watch(kCommandsWatch, commands_->descriptor());
    io.watch(kResultsWatch, workers_.results().descriptor());
  }

  void run();

  void connected(mux::SessionId session, int error) override { shard_.multiplexer().connected(session, error); }
  void received(mux::SessionId session, std::span<const std::byte> bytes) override {
    shard_.multiplexer().received(session, bytes);
  }
  void sent(mux::SessionId session, std::int64_t result) override { shard_.multiplexer().sent(session, result); }
  void ended(mux::SessionId session, int error) override { shard_.multiplexer().ended(session, error); }
  void closed(mux::SessionId session) override { shard_.multiplexer().closed(session); }
  void rung(std::uint32_t watch) override;
  void unwatched(std::uint32_t watch) override { shard_.unwatched(watch - kFirstClientWatch); }
  void woken(std::uint32_t waker) override { shard_.woken(waker); }

  void watch(std::uint32_t client_index, int descriptor) override {
    io_->watch(client_index + kFirstClientWatch, descriptor);
  }
  void unwatch(std::uint32_t client_index) override { io_->unwatch(client_index + kFirstClientWatch); }
  void wake(std::uint32_t channel_ref, int descriptor) override { io_->wake(channel_ref, descriptor); }

 private:
  void take_commands();
  void take_results();
  void set_time();
  [[nodiscard]] std::chrono::nanoseconds time_until_due() const;

  Mailbox<ShardCommand>* commands_;
  Mailbox<ShardReply>* replies_;
  io::IoLoop* io_;
  EventLog events_;
  WorkerThreads workers_;
  Shard shard_;
  std::uint64_t wall_clock_due_ns_ = 0;
  bool has_commands_ = false;
  bool has_results_ = false;
};

void Loop::run() {
  set_time();
  shard_.start();
  bool busy = true;
  while (!shard_.is_stopped()) {
    const bool may_sleep = !busy && shard_.prepare_sleep();
    io_->wait(may_sleep ? time_until_due() : std::chrono::nanoseconds(0));
    set_time();
    busy = io_->tell(*this);
    if (std::exchange(has_commands_, false)) take_commands();
    if (std::exchange(has_results_, false)) take_results();
    busy = shard_.work() || busy;
    for (auto& reply : shard_.take_replies()) replies_->post(std::move(reply));
  }
}

// The wall clock may be set, and summer time begin, while we run.
void Loop::set_time() {
  const auto now_ns = monotonic_ns();
  shard_.set_time(now_ns);
  if (now_ns < wall_clock_due_ns_) return;
  wall_clock_due_ns_ = now_ns + kWallClockIntervalNs;
  const auto utc_s = static_cast<std::int64_t>(std::time(nullptr));
  shard_.multiplexer().set_wall_clock(utc_s - static_cast<std::int64_t>(now_ns / 1'000'000'000), local_offset_s(utc_s));
}

void Loop::rung(std::uint32_t watch) {
  if (watch == kCommandsWatch) {
    has_commands_ = true;
  } else if (watch == kResultsWatch) {
    has_results_ = true;
  } else {
    shard_.rung(watch - kFirstClientWatch);
  }
}

void Loop::take_commands() {
  for (auto& command : commands_->take()) shard_.execute(std::move(command));
}

void Loop::take_results() {
  auto& multiplexer = shard_.multiplexer();
  for (auto& result : workers_.results().take()) {
    if (auto* step = std::get_if<HandshakeResult>(&result)) {
      multiplexer.handshake_stepped(step->session, std::move(step->tls), step->output, step->state);
    } else {
      const auto& resolved = std::get<ResolveResult>(result);
      multiplexer.resolved(resolved.session, resolved.addresses);
    }
  }
}

std::chrono::nanoseconds Loop::time_until_due() const {
  const auto due = shard_.next_due_ns();
  if (due == 0) return std::chrono::nanoseconds(kSleepNsMax);
  const auto now = monotonic_ns();
  return std::chrono::nanoseconds(due <= now ? 0 : std::min(due - now, kSleepNsMax));
}

io::IoSettings io_settings(const config::Config& config) {
  io::IoSettings settings;
  for (const auto& upstream : config.upstreams) {
    settings.send_memory_bytes.insert(settings.send_memory_bytes.end(), mux::session_places(upstream),
                                      mux::send_memory_bytes(upstream));
  }
  settings.send_memory_bytes.insert(settings.send_memory_bytes.end(), mux::kSpareSessionPlaces,
                                    mux::kSpareSendMemoryBytes);
  return settings;
}

void run_thread(DataLoopParts parts, Started started) {
  ::pthread_setname_np(::pthread_self(), "tmx-data-0");
  auto io = io::IoLoop::create(io_settings(parts.config));
  if (!io) return started.set_value(std::unexpected(io.error()));
  if (!(*io)->has_registered_memory()) {
    parts.log.warning("memory_not_registered",
                      {{"what", "send memory"}, {"needs", "a higher RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)"}});
  }
  Loop loop(parts, **io);
  started.set_value({});
  loop.run();
}

}  // namespace

std::expected<std::unique_ptr<DataLoop>, shm::SystemError> DataLoop::start(DataLoopParts parts) {
  auto& commands = parts.commands;
  Started started;
  auto result = started.get_future();
  std::jthread thread(run_thread, std::move(parts), std::move(started));
  if (auto outcome = result.get(); !outcome) return std::unexpected(outcome.error());
  return std::make_unique<DataLoop>(std::move(thread), commands);
}

}  // namespace tlsmux::engine
