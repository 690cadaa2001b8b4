#include "engine/wrapper/wrapper_thread.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include "engine/confinement/confinement.hpp"
#include "engine/wrapper/addresses.hpp"
#include "engine/wrapper/stream_start.hpp"

namespace tlsmux::engine::wrapper {
namespace {

// Labels of what is no process's socket; those have their numbers.
constexpr std::uint64_t kCommands = 1ULL << 62;
constexpr std::uint64_t kListener4 = kCommands + 1;
constexpr std::uint64_t kListener6 = kCommands + 2;

constexpr std::uint32_t kEdges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

// splice to a connection that has gone raises it, and cannot be told not to.
void block_sigpipe() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

void make_blocking(int socket) {
  const int flags = ::fcntl(socket, F_GETFL);
  ::fcntl(socket, F_SETFL, flags & ~O_NONBLOCK);
}

}  // namespace

std::expected<std::unique_ptr<WrapperThread>, shm::SystemError> WrapperThread::start(LoopbackListeners listeners,
                                                                                     OwnerOf owner_of,
                                                                                     Mailbox<WrapperNews>& news,
                                                                                     Log& log) {
  std::unique_ptr<WrapperThread> made(new WrapperThread(std::move(listeners), std::move(owner_of), news, log));
  if (auto prepared = made->prepare(); !prepared) return std::unexpected(prepared.error());
  try {
    made->thread_ = std::thread([thread = made.get()] { thread->run(); });
  } catch (const std::system_error& error) {
    return std::unexpected(shm::SystemError{.code = error.code().value(), .message = "starting a thread"});
  }
  return made;
}

WrapperThread::WrapperThread(LoopbackListeners listeners, OwnerOf owner_of, Mailbox<WrapperNews>& news, Log& log)
    : listeners_(std::move(listeners)), owner_of_(std::move(owner_of)), news_(news), log_(log) {}

WrapperThread::~WrapperThread() {
  if (!thread_.joinable()) return;
  commands_.post(WrapperCommand(Stop{}));
  thread_.join();
}

std::expected<void, shm::SystemError> WrapperThread::prepare() {
  poll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll_) return std::unexpected(shm::last_error("making an epoll"));
  if (auto watched = watch(commands_.descriptor(), kCommands, EPOLLIN); !watched) return watched;
  if (auto watched = watch(listeners_.ipv4.get(), kListener4, EPOLLIN); !watched) return watched;
  return listeners_.ipv6 ? watch(listeners_.ipv6.get(), kListener6, EPOLLIN) : std::expected<void, shm::SystemError>{};
}

std::expected<void, shm::SystemError> WrapperThread::watch(int fd, std::uint64_t label, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.u64 = label}};
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return std::unexpected(shm::last_error("watching a descriptor"));
}

void WrapperThread::run() {
  block_sigpipe();
  ::pthread_setname_np(::pthread_self(), "tmx-wrapper");
  confinement::enter_thread(confinement::ThreadKind::wrapper);
  std::array<epoll_event, 64> events{};
  while (!is_stopping_) {
    const int timeout_ms = busy_.empty() ? milliseconds_to_deadline() : 0;
    const int count = ::epoll_wait(poll_.get(), events.data(), events.size(), timeout_ms);
    for (std::size_t i = 0; std::cmp_less(i, count) && !is_stopping_; ++i)
      on_event(events[i].data.u64, events[i].events);
    for (const auto id : std::exchange(busy_, {})) {
      if (const auto found = sockets_.find(id); found != sockets_.end()) {
        found->second.is_busy = false;
        move(id);
      }
    }
    expire(Clock::now());
  }
}

void WrapperThread::on_event(std::uint64_t label, std::uint32_t events) {
  if (label == kCommands) return on_commands();
  if (label == kListener4) return on_listener(listeners_.ipv4);
  if (label == kListener6) return on_listener(listeners_.ipv6);
  const auto found = sockets_.find(label);
  if (found == sockets_.end()) return;
  if (found->second.relay) return move(label);
  hear(label, events);
}

void WrapperThread::on_commands() {
  for (auto& command : commands_.take()) {
    if (auto* const announcement = std::get_if<Announcement>(&command)) {
      expect(std::move(*announcement));
    } else {
      is_stopping_ = true;
    }
  }
}

// One at a time: what is announced comes in between, also in a flood of connections.
void WrapperThread::on_listener(const shm::UniqueFd& listener) {
  shm::UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket) return arrive(std::move(socket));
  if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) on_no_descriptors(listener);
}

// The newest stranger goes: if there is none, the one that waits to be accepted; if that fails, it waits.
void WrapperThread::on_no_descriptors(const shm::UniqueFd& listener) {
  if (const auto unlogged = exhausted_.pass(Clock::now())) {
    log_.error("descriptors_exhausted",
               {{"needs", "a higher limit of open files: LimitNOFILE= of the systemd unit, or ulimit -Hn"},
                {"unlogged", *unlogged}});
  }
  if (const auto newest = lobby_.newest()) return shed(*newest);
  if (spare_.turn_away(listener.get())) return;
  watch_listeners(0);
  accepts_again_ = Clock::now() + control::SpareDescriptor::kPause;
}

void WrapperThread::watch_listeners(std::uint32_t events) {
  const auto change = [&](const shm::UniqueFd& listener, std::uint64_t label) {
    epoll_event event{.events = events, .data = {.u64 = label}};
    if (listener) ::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, listener.get(), &event);
  };
  change(listeners_.ipv4, kListener4);
  change(listeners_.ipv6, kListener6);
}

void WrapperThread::arrive(shm::UniqueFd socket) {
  const auto remote = remote_address_of(socket.get());
  const auto local = local_address_of(socket.get());
  if (!remote || !local) return;
  const auto owner = owner_of_(*remote, *local);
  if (!owner) return reset_on_close(socket.get());
  const auto id = ++last_id_;
  const Address address(remote->address, remote->port);
  sockets_.emplace(
      id,
      Socket{.socket = std::move(socket), .remote = address, .owner = *owner, .announcement = {}, .relay = nullptr});
  if (auto expected = expected_.extract(address); !expected.empty()) {
    auto& announcement = expected.mapped().announcement;
    if (pair(id, announcement)) return;
    news_.post(WrapperNews(SocketGone{.uid = announcement.uid}));
  }
  // One that had the same address has gone, and is of no more use to anybody.
  if (const auto older = strangers_.find(address); older != strangers_.end()) shed(older->second);
  strangers_.insert_or_assign(address, id);
  if (const auto leaves = lobby_.enter(id, owner->uid, Clock::now())) shed(*leaves);
}

// The newest word counts.
void WrapperThread::expect(Announcement announcement) {
  const Address address(announcement.local.address, announcement.local.port);
  if (const auto stranger = strangers_.find(address); stranger != strangers_.end()) {
    const auto id = stranger->second;
    if (pair(id, announcement)) return;
    return news_.post(WrapperNews(SocketGone{.uid = announcement.uid}));
  }
  Expected expected{.announcement = std::move(announcement), .deadline = Clock::now() + kTimeToArrive};
  const auto [place, is_new] = expected_.try_emplace(address, std::move(expected));
  if (is_new) return;
  news_.post(WrapperNews(SocketGone{.uid = place->second.announcement.uid}));
  place->second = std::move(expected);
}

// False: it is another's, and stays a stranger.
bool WrapperThread::pair(Id id, Announcement& announcement) {
  auto& socket = sockets_.at(id);
  const ports::ConnectionOwner announced{.inode = announcement.socket_inode, .uid = announcement.socket_uid};
  if (socket.owner != announced) {
    if (const auto unlogged = refusals_.pass(Clock::now())) {
      log_.warning("announcement_refused", {{"pid", announcement.pid},
                                            {"uid", announcement.uid},
                                            {"owner_uid", socket.owner.uid},
                                            {"reason", "the socket is not the one that was announced"},
                                            {"unlogged", *unlogged}});
    }
    return false;
  }
  socket.announcement = std::move(announcement);
  lobby_.leave(id);
  if (const auto it = strangers_.find(socket.remote); it != strangers_.end() && it->second == id) strangers_.erase(it);
  if (!watch(socket.socket.get(), id, EPOLLIN | EPOLLRDHUP | EPOLLET)) close(id, true);
  return true;
}

// The ticket and what belongs to it, or anything else.
void WrapperThread::hear(Id id, std::uint32_t events) {
  auto& socket = sockets_.at(id);
  std::array<std::byte, sizeof(shm::StreamStart)> bytes{};
  const auto got = ::recv(socket.socket.get(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return close(id, got < 0);
  const auto& ticket = socket.announcement->ticket;
  const auto known = std::min<std::size_t>(static_cast<std::size_t>(got), ticket.size());
  if (std::memcmp(bytes.data(), ticket.data(), known) != 0) return start_relay(id);
  if (static_cast<std::size_t>(got) == bytes.size()) return start_stream(id);
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) close(id, false);  // the rest will not come
}

void WrapperThread::start_stream(Id id) {
  auto& socket = sockets_.at(id);
  shm::StreamStart start;
  if (::recv(socket.socket.get(), &start, sizeof start, MSG_DONTWAIT) != sizeof start) return close(id, true);
  auto alpn = alpn_of(start);
  if (!alpn) return close(id, true);
  ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, socket.socket.get(), nullptr);
  const int on = 1;
  ::setsockopt(socket.socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  make_blocking(socket.socket.get());
  news_.post(WrapperNews(StartedStream{
      .announcement = std::move(*socket.announcement), .alpn = std::move(*alpn), .socket = std::move(socket.socket)}));
  sockets_.erase(id);
}

void WrapperThread::start_relay(Id id) {
  auto& socket = sockets_.at(id);
  const auto& announcement = *socket.announcement;
  if (!announcement.may_relay) return close(id, true);
  ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, socket.socket.get(), nullptr);
  auto relay = Relay::start(std::move(socket.socket), announcement.original);
  if (!relay) {
    if (const auto unlogged = refusals_.pass(Clock::now())) {
      log_.warning("relay_refused",
                   {{"pid", announcement.pid}, {"why", relay.error().message}, {"unlogged", *unlogged}});
    }
    return close(id, true);
  }
  socket.relay = std::move(*relay);
  // What is ready by now is told at once.
  if (!watch(socket.relay->process(), id, kEdges) || !watch(socket.relay->host(), id, kEdges)) close(id, true);
}

void WrapperThread::move(Id id) {
  auto& socket = sockets_.at(id);
  switch (socket.relay->move()) {
    case Relay::Progress::waits: return;
    case Relay::Progress::over: return close(id, false);
    case Relay::Progress::busy:
      if (!std::exchange(socket.is_busy, true)) busy_.push_back(id);
  }
}

void WrapperThread::close(Id id, bool reset) {
  auto& socket = sockets_.at(id);
  if (reset && socket.socket) reset_on_close(socket.socket.get());
  if (socket.announcement) news_.post(WrapperNews(SocketGone{.uid = socket.announcement->uid}));
  lobby_.leave(id);
  if (const auto it = strangers_.find(socket.remote); it != strangers_.end() && it->second == id) strangers_.erase(it);
  sockets_.erase(id);
}

void WrapperThread::shed(Id id) { close(id, true); }

void WrapperThread::expire(Clock::time_point now) {
  for (const auto id : lobby_.expired(now)) shed(id);
  std::erase_if(expected_, [&](const auto& entry) {
    if (entry.second.deadline > now) return false;
    news_.post(WrapperNews(SocketGone{.uid = entry.second.announcement.uid}));
    return true;
  });
  if (accepts_again_ && *accepts_again_ <= now) {
    accepts_again_.reset();
    spare_.renew();
    watch_listeners(EPOLLIN);
  }
}

int WrapperThread::milliseconds_to_deadline() const {
  auto next = lobby_.next_deadline();
  if (accepts_again_) next = next ? std::min(*next, *accepts_again_) : *accepts_again_;
  for (const auto& [address, expected] : expected_) {
    next = next ? std::min(*next, expected.deadline) : expected.deadline;
  }
  if (!next) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

}  // namespace tlsmux::engine::wrapper
