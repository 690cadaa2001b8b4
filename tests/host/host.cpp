#include "tests/host/host.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>

namespace tlsmux::host {
namespace {

constexpr std::uint64_t kListenerNumber = 0;  // sessions count from 1
constexpr std::uint64_t kSignalsNumber = ~std::uint64_t{0};

std::uint64_t clock_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

std::unexpected<std::string> failed(const char* what) {
  return std::unexpected(std::string(what) + ": " + std::strerror(errno));
}

bool control(int epoll, int operation, int fd, std::uint64_t number, std::uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = number;
  return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

}  // namespace

std::expected<std::unique_ptr<Host>, std::string> Host::open(const Options& options) {
  std::unique_ptr<Host> host(new Host(options));
  auto tls = make_server_context(options.tls);
  if (!tls) return std::unexpected(tls.error());
  host->tls_ = std::move(*tls);
  auto record = Record::open(options.record_file);
  if (!record) return std::unexpected(record.error());
  host->record_ = std::move(*record);
  auto listener = listen_on(options.listen);
  if (!listener) return std::unexpected(listener.error());
  host->listener_ = std::move(*listener);
  host->started_ns_ = host->now_ns_ = clock_ns();
  if (const auto watching = host->watch(); !watching) return std::unexpected(watching.error());
  return host;
}

Host::Result Host::watch() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, signal);
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  signals_.reset(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!epoll_ || !signals_ || !control(epoll_.get(), EPOLL_CTL_ADD, listener_.socket.get(), kListenerNumber, EPOLLIN) ||
      !control(epoll_.get(), EPOLL_CTL_ADD, signals_.get(), kSignalsNumber, EPOLLIN)) {
    return failed("cannot set up epoll");
  }
  return {};
}

std::expected<void, std::string> Host::run() {
  while (!stopped()) {
    if (auto result = turn(); !result) return result;
  }
  return report();
}

Host::Result Host::turn() {
  std::array<epoll_event, 256> events;
  timespec wait = {};
  auto until = timers_.next_due_ns();
  if (stop_by_ns_ != 0) until = std::min(until.value_or(stop_by_ns_), stop_by_ns_);
  if (until && unread_.empty()) {
    const std::uint64_t wait_ns = *until - std::min(*until, clock_ns());
    wait.tv_sec = static_cast<time_t>(wait_ns / 1'000'000'000);
    wait.tv_nsec = static_cast<long>(wait_ns % 1'000'000'000);
  }
  const bool forever = !until && unread_.empty();
  const int ready = ::epoll_pwait2(epoll_.get(), events.data(), events.size(), forever ? nullptr : &wait, nullptr);
  if (ready < 0 && errno != EINTR) return failed("epoll_pwait2");
  now_ns_ = clock_ns();
  for (int i = 0; i < ready; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (auto result = dispatch(event.data.u64, event.events); !result) return result;
  }
  for (const std::uint64_t number : std::exchange(unread_, {})) {
    const auto found = sessions_.find(number);
    if (found == sessions_.end()) continue;
    found->second->unread = false;
    read(*found->second);
  }
  if (auto flushed = record_.flush(); !flushed) return flushed;
  fire_timers();
  settle_touched();
  return {};
}

Host::Result Host::dispatch(std::uint64_t number, std::uint32_t events) {
  if (number == kListenerNumber) return accept_all();
  if (number == kSignalsNumber) return take_signals();
  if (const auto found = sessions_.find(number); found != sessions_.end()) {
    advance(*found->second, events);
  } else if (stalled_.erase(number) > 0) {  // only watched for its end
    --totals_.handshakes_in_progress;
    log_.end(number, "broken", now_us());
  }
  return {};
}

Host::Result Host::take_signals() {
  signalfd_siginfo signal = {};
  while (::read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) {
    if (signal.ssi_signo != SIGUSR1) {
      begin_stop();
    } else if (auto written = report(); !written) {
      return written;
    }
  }
  return {};
}

Host::Result Host::accept_all() {
  while (listener_.socket) {
    shm::UniqueFd socket(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      if (auto admitted = admit(std::move(socket)); !admitted) return admitted;
    } else if (errno == EAGAIN) {
      break;
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      return failed("cannot accept a connection");
    }
  }
  return {};
}

Host::Result Host::admit(shm::UniqueFd socket) {
  const std::size_t open = sessions_.size() + stalled_.size();
  if (options_.connections_max > 0 && open >= options_.connections_max) {
    ++totals_.connections_refused;
    return {};
  }
  const std::uint64_t number = ++totals_.connections;
  totals_.connections_open_max = std::max<std::uint64_t>(totals_.connections_open_max, open + 1);
  ++totals_.handshakes_in_progress;
  totals_.handshakes_in_progress_max = std::max(totals_.handshakes_in_progress_max, totals_.handshakes_in_progress);
  const std::string source = peer_address(socket.get());
  count(totals_.source_addresses, std::string_view(source).substr(0, source.rfind(':')));
  log_.open(number, source, now_us());
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!options_.handshake_stall) return begin_session(number, std::move(socket));
  ++totals_.connections_stalled;
  if (!control(epoll_.get(), EPOLL_CTL_ADD, socket.get(), number, EPOLLRDHUP)) return failed("epoll_ctl");
  stalled_.emplace(number, std::move(socket));
  return {};
}

Host::Result Host::begin_session(std::uint64_t number, shm::UniqueFd socket) {
  Ssl ssl(SSL_new(tls_.get()));
  if (!ssl) return std::unexpected("OpenSSL gives no connection: " + take_ssl_error());
  auto session = std::make_unique<Session>(number, Connection(std::move(socket), std::move(ssl)),
                                           Responder(options_.behaviour, options_.framing, number, shared_));
  session->handshake_held = options_.handshake_delay_ms > 0;
  session->events_registered = session->handshake_held ? 0U : std::uint32_t{EPOLLIN};
  if (!control(epoll_.get(), EPOLL_CTL_ADD, session->connection.socket(), number, session->events_registered)) {
    return failed("epoll_ctl");
  }
  if (session->handshake_held) repeat(*session, Timer::Kind::handshake_start, options_.handshake_delay_ms);
  sessions_.emplace(number, std::move(session));
  return {};
}

void Host::begin_stop() {
  // The second request to stop does not wait for the peers.
  stop_by_ns_ = stop_by_ns_ == 0 ? now_ns_ + kLingerNs : now_ns_;
  listener_.socket.reset();
  stalled_.clear();
  for (auto& [number, session] : sessions_) {
    touch(*session);
    close(*session);
  }
}

bool Host::stopped() const { return stop_by_ns_ != 0 && (sessions_.empty() || now_ns_ >= stop_by_ns_); }

Host::Result Host::report() {
  if (options_.report_file.empty()) return {};
  return write_report({totals_, log_.entries(), ++reports_, sessions_.size()}, options_.report_file);
}

}  // namespace tlsmux::host
