#include "engine/control/control_server.hpp"

#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::engine::control {
namespace {

// At a stretch, so that a flood of connections leaves time for clients.
constexpr int kAcceptsMax = 32;

shm::UniqueFd open_sigterm() {
  sigset_t wanted;
  ::sigemptyset(&wanted);
  ::sigaddset(&wanted, SIGTERM);
  return shm::UniqueFd(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
}

shm::UniqueFd make_spare() { return shm::UniqueFd(::eventfd(0, EFD_CLOEXEC)); }

}  // namespace

ControlServer::ControlServer(ControlSettings settings, std::vector<ShardMailboxes> shards, Log& log)
    : settings_(std::move(settings)), shards_(std::move(shards)), log_(log), clients_(settings_, shards_, poll_, log) {
  TMX_ASSERT(!shards_.empty());
}

std::expected<void, shm::SystemError> ControlServer::open() {
  auto poll = EventPoll::create();
  if (!poll) return std::unexpected(poll.error());
  poll_ = std::move(*poll);
  signals_ = open_sigterm();
  if (!signals_) return std::unexpected(shm::last_error("making a signalfd"));
  spare_ = make_spare();

  struct Watched {
    int fd;
    EventLabel label;
    std::uint32_t events;
  };
  std::vector<Watched> wanted{{settings_.listener.get(), {.source = Source::listener}, EPOLLIN},
                              {signals_.get(), {.source = Source::signals}, EPOLLIN},
                              {clients_.memory_fault_descriptor(), {.source = Source::memory_fault}, EPOLLIN}};
  // Answers of the broker are read elsewhere; here only its end counts.
  if (settings_.broker_socket >= 0) {
    wanted.push_back({settings_.broker_socket, {.source = Source::broker}, EPOLLRDHUP});
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    wanted.push_back({shards_[i].replies->descriptor(), {.source = Source::shard, .id = i}, EPOLLIN});
  }
  for (const auto& [fd, label, events] : wanted) {
    if (auto added = poll_.add(fd, label, events); !added) return added;
  }
  return {};
}

std::uint32_t ControlServer::run() {
  while (!draining_ || shards_draining_ != 0) {
    for (const auto event : poll_.wait(milliseconds_to_deadline())) on_event(event);
    clients_.expire(Lobby::Clock::now());
  }
  return requests_left_;
}

void ControlServer::on_event(EventLabel event) {
  switch (event.source) {
    case Source::listener: return on_listener();
    case Source::signals: return on_signal();
    case Source::broker: poll_.remove(settings_.broker_socket); return start_draining("the broker is dead");
    case Source::memory_fault: return clients_.on_memory_fault();
    case Source::shard: return on_shard(event.id);
    case Source::socket: return clients_.on_socket(event.id);
    case Source::process: return clients_.on_process_end(event.id);
  }
}

void ControlServer::on_listener() {
  for (int i = 0; i < kAcceptsMax && settings_.listener; ++i) {
    shm::UniqueFd socket(::accept4(settings_.listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      clients_.arrive(std::move(socket));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      return on_no_descriptors();
    } else if (errno != ECONNABORTED && errno != EINTR) {
      return;
    }
  }
}

// The newest that is no client yet goes: if there is none, the one that waits to be accepted.
void ControlServer::on_no_descriptors() {
  if (const auto unlogged = exhausted_.pass(Throttle::Clock::now())) {
    log_.error("descriptors_exhausted", {{"needs", "a higher limit of open files"}, {"unlogged", *unlogged}});
  }
  if (clients_.shed_newest()) return;
  spare_.reset();
  shm::UniqueFd(::accept4(settings_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
  spare_ = make_spare();
}

void ControlServer::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) start_draining("SIGTERM");
}

void ControlServer::on_shard(std::uint64_t shard) {
  for (auto& reply : shards_[shard].replies->take()) {
    if (const auto* drained = std::get_if<Drained>(&reply)) {
      TMX_ASSERT(shards_draining_ > 0);
      --shards_draining_;
      requests_left_ += drained->requests_left;
    } else {
      clients_.on_reply(std::move(reply));
    }
  }
}

void ControlServer::start_draining(std::string_view reason) {
  if (std::exchange(draining_, true)) return;
  log_.info("draining", {{"reason", reason}, {"timeout_ms", settings_.drain_timeout_ms}});
  settings_.listener.reset();  // the broker's own copy keeps what waits in the backlog
  clients_.start_draining();
  shards_draining_ = shards_.size();
  for (const auto& shard : shards_) shard.commands->post(Drain{.timeout_ms = settings_.drain_timeout_ms});
}

int ControlServer::milliseconds_to_deadline() const {
  const auto next = clients_.next_deadline();
  if (!next) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Lobby::Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

}  // namespace tlsmux::engine::control
