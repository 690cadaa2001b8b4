#include "engine/shard/data_loop.hpp"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <system_error>

#include "engine/confinement/confinement.hpp"
#include "engine/io/io_loop.hpp"
#include "engine/log/event_log.hpp"
#include "engine/shard/idle.hpp"
#include "engine/shard/shard.hpp"
#include "engine/tls/aead.hpp"
#include "engine/workers/resolver.hpp"
#include "engine/workers/workers.hpp"
#include "shm/assert.hpp"
#include "shm/pause_processor.hpp"

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
  Loop(DataLoopParts& parts, io::IoLoop& io, WorkerThreads& workers)
      : commands_(&parts.commands),
        replies_(&parts.replies),
        io_(&io),
        log_(&parts.log),
        events_(parts.log),
        workers_(&workers),
        shard_(parts.config, {io, workers, events_, *this, io}, std::move(parts.tls_clients), std::move(parts.board),
               parts.seed, parts.shard, parts.source_ports) {
    io.watch(kCommandsWatch, commands_->descriptor());
    io.watch(kResultsWatch, workers.results().descriptor());
  }

  void run();

  void connected(mux::SessionId session, int error) override { shard_.multiplexer().connected(session, error); }
  void received(mux::SessionId session, std::span<std::byte> bytes) override {
    shard_.multiplexer().received(session, bytes);
  }
  void sent(mux::SessionId session, std::int64_t result) override { shard_.multiplexer().sent(session, result); }
  void ended(mux::SessionId session, int error) override { shard_.multiplexer().ended(session, error); }
  void closed(mux::SessionId session) override { shard_.multiplexer().closed(session); }
  void stream_received(mux::StreamId stream, std::span<const std::byte> bytes) override {
    shard_.streams().process_sent(stream, bytes);
  }
  void stream_failed(mux::StreamId stream, int error) override { shard_.streams().socket_failed(stream, error); }
  void stream_took(mux::StreamId stream, std::int64_t result) override { shard_.streams().socket_took(stream, result); }
  void stream_closed(mux::StreamId stream) override { shard_.streams().socket_closed(stream); }
  void rung(std::uint32_t watch) override;
  void unwatched(std::uint32_t watch) override { shard_.unwatched(watch - kFirstClientWatch); }
  void woken(std::uint32_t waker) override { shard_.woken(waker); }

  void watch(std::uint32_t client_index, int descriptor) override {
    io_->watch(client_index + kFirstClientWatch, descriptor);
  }
  void unwatch(std::uint32_t client_index) override { io_->unwatch(client_index + kFirstClientWatch); }
  void wake(std::uint32_t channel_ref, int descriptor) override { io_->wake(channel_ref, descriptor); }

 private:
  void wait();
  bool look_again();
  void note_idleness();
  void take_commands();
  void take_results();
  void look_at_keys();
  void set_time();
  [[nodiscard]] std::chrono::nanoseconds time_until_due() const;

  Mailbox<ShardCommand>* commands_;
  Mailbox<ShardReply>* replies_;
  io::IoLoop* io_;
  Log* log_;
  EventLog events_;
  WorkerThreads* workers_;
  Shard shard_;
  Idle idle_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t idle_since_ns_ = 0;  // 0: it is not idle
  std::uint64_t wall_clock_due_ns_ = 0;
  bool is_busy_ = true;
  bool keys_are_locked_ = true;
  bool has_looked_again_ = false;  // in this idle period
  bool has_commands_ = false;
  bool has_results_ = false;
};

void Loop::run() {
  set_time();
  shard_.start();
  while (!shard_.is_stopped()) {
    wait();
    set_time();
    is_busy_ = io_->tell(*this);
    if (std::exchange(has_commands_, false)) take_commands();
    if (std::exchange(has_results_, false)) take_results();
    is_busy_ = shard_.work() || is_busy_;
    for (auto& reply : shard_.take_replies()) replies_->post(std::move(reply));
    note_idleness();
  }
}

void Loop::wait() {
  const bool may_sleep = !is_busy_ && !look_again() && shard_.prepare_sleep();
  io_->wait(may_sleep ? time_until_due() : std::chrono::nanoseconds(0));
}

// Once in each idle period. Without a system call: true as soon as there may be something to do.
bool Loop::look_again() {
  constexpr int kLooksBetweenClocks = 16;
  if (io_->has_news()) return true;
  const auto spin_ns = std::exchange(has_looked_again_, true) ? 0 : idle_.spin_ns(shard_.idle_strategy());
  if (spin_ns == 0) return false;
  const auto due_ns = shard_.next_due_ns();
  const auto end_ns = due_ns == 0 ? now_ns_ + spin_ns : std::min(due_ns, now_ns_ + spin_ns);
  do {
    for (int i = 0; i < kLooksBetweenClocks; ++i) {
      if (shard_.has_news() || io_->has_news()) return true;
      shm::pause_processor();
    }
  } while (monotonic_ns() < end_ns);
  return false;
}

void Loop::note_idleness() {
  if (is_busy_ && idle_since_ns_ != 0) {
    idle_.ended(now_ns_ - idle_since_ns_);
    idle_since_ns_ = 0;
  } else if (!is_busy_ && idle_since_ns_ == 0) {
    idle_since_ns_ = now_ns_;
    has_looked_again_ = false;
  }
}

// The wall clock may be set, and summer time begin, while we run.
void Loop::set_time() {
  now_ns_ = monotonic_ns();
  shard_.set_time(now_ns_);
  if (now_ns_ < wall_clock_due_ns_) return;
  wall_clock_due_ns_ = now_ns_ + kWallClockIntervalNs;
  const auto utc_s = static_cast<std::int64_t>(std::time(nullptr));
  shard_.multiplexer().set_wall_clock(utc_s - static_cast<std::int64_t>(now_ns_ / 1'000'000'000),
                                      local_offset_s(utc_s));
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
  for (auto& result : workers_->results().take()) {
    if (auto* step = std::get_if<HandshakeResult>(&result)) {
      multiplexer.handshake_stepped(step->session, std::move(step->tls), step->output, step->state);
      look_at_keys();
    } else {
      const auto& resolved = std::get<ResolveResult>(result);
      multiplexer.resolved(resolved.session, resolved.addresses);
    }
  }
}

// The keys of records are made when a handshake is done.
void Loop::look_at_keys() {
  if (!std::exchange(keys_are_locked_, tls::aead_keys_are_locked()) || keys_are_locked_) return;
  log_->warning(
      "session_keys_not_locked",
      {{"needs", "LimitMEMLOCK=infinity of the systemd unit, --ulimit memlock=-1 of the container, or ulimit -l"}});
}

std::chrono::nanoseconds Loop::time_until_due() const {
  const auto due = shard_.next_due_ns();
  if (due == 0) return std::chrono::nanoseconds(kSleepNsMax);
  const auto now = monotonic_ns();
  return std::chrono::nanoseconds(due <= now ? 0 : std::min(due - now, kSleepNsMax));
}

// In the order of the multiplexer's sessions.
io::IoSettings io_settings(const DataLoopParts& parts) {
  io::IoSettings settings;
  for (std::size_t i = 0; i < parts.config.upstreams.size(); ++i) {
    if (parts.tls_clients[i] == nullptr) continue;
    const auto& upstream = parts.config.upstreams[i];
    settings.send_memory_bytes.insert(settings.send_memory_bytes.end(), mux::session_places(upstream),
                                      mux::send_memory_bytes(upstream));
  }
  settings.send_memory_bytes.insert(settings.send_memory_bytes.end(), mux::spare_session_places(parts.config),
                                    mux::spare_send_memory_bytes(parts.config));
  return settings;
}

// A processor that cannot be had is no reason not to serve: after a change of the machine or of its container at night,
// an engine that runs anywhere is worth more than none. What is wrong and what to set stands in the log.
void run_on(std::uint32_t cpu, std::uint32_t shard, Log& log) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof cpus, &cpus);
  if (error == 0) return;
  log.warning("shard_not_pinned",
              {{"shard", shard},
               {"cpu", cpu},
               {"error", error == EINVAL ? "the machine has no such processor, or this process may not use it"
                                         : std::strerror(error)},
               {"means", "the kernel chooses its processor"},
               {"needs", "/engine/cpus/" + std::to_string(shard) +
                             " to be one of Cpus_allowed_list in /proc/PID/status of tlsmuxd; the limit is set by "
                             "AllowedCPUs= or CPUAffinity= of the systemd unit, or the container"}});
}

void run_thread(DataLoopParts parts, Started started) {
  ::pthread_setname_np(::pthread_self(), ("tmx-data-" + std::to_string(parts.shard)).c_str());
  // Before the thread is bound to a processor, which its children would inherit: a handshake's milliseconds of work
  // belong on another one.
  std::optional<WorkerThreads> workers;
  try {
    workers.emplace(parts.config.engine.worker_threads);
  } catch (const std::system_error&) {
    return started.set_exception(std::current_exception());
  }
  if (parts.cpu) run_on(*parts.cpu, parts.shard, parts.log);
  auto io = io::IoLoop::create(io_settings(parts));
  if (!io) return started.set_value(std::unexpected(io.error()));
  if (!(*io)->has_registered_memory()) {
    parts.log.warning("memory_not_registered",
                      {{"what", "send memory"}, {"needs", "a higher RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)"}});
  }
  // The ring is made: from now on there are no others.
  confinement::enter_thread(confinement::ThreadKind::data_loop);
  Loop loop(parts, **io, *workers);
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
