#include "tests/faults/delay_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <limits>
#include <list>
#include <random>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/faults/proxy_lane.hpp"
#include "tests/support/seed.hpp"

namespace tlsmux::test {

struct DelayProxy::Order {
  enum class Kind : std::uint8_t { set, stall, stall_new, go_on, end, hide_ends, count };
  Kind kind{};
  Way way{};
  WayFacts facts{};
  std::uint32_t bytes = 0;
};

namespace {

std::size_t index_of(Way way) { return static_cast<std::size_t>(way); }

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

sockaddr_in address_of(const std::string& host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  REQUIRE(::inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1);
  return address;
}

shm::UniqueFd open_socket() { return shm::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

void send_at_once(const shm::UniqueFd& socket) {
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Whoever is still connected to it sees a reset.
void close_hard(shm::UniqueFd& socket) {
  const linger abort{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  socket.reset();
}

// A connection, and the one that it is relayed to.
struct Relayed {
  using Limits = std::array<std::optional<std::uint64_t>, 2>;
  Relayed(shm::UniqueFd with_engine, shm::UniqueFd with_host, const Limits& limits)
      : engine(std::move(with_engine)),
        host(std::move(with_host)),
        lanes{ProxyLane(engine.get(), host.get(), limits[index_of(Way::to_host)]),
              ProxyLane(host.get(), engine.get(), limits[index_of(Way::to_engine)])} {}

  ProxyLane& lane(Way way) { return lanes[index_of(way)]; }
  [[nodiscard]] bool is_over() const { return lanes[0].is_over() && lanes[1].is_over(); }

  shm::UniqueFd engine;
  shm::UniqueFd host;
  std::array<ProxyLane, 2> lanes;
};

class Relay {
 public:
  Relay(shm::UniqueFd listener, shm::UniqueFd orders, const sockaddr_in& host, std::uint64_t seed)
      : listener_(std::move(listener)), orders_(std::move(orders)), host_(host), random_(seed) {}

  // Until the other end of its orders is closed.
  int run() {
    while (true) {
      const auto wanted = wanted_now();
      auto events = wanted;
      if (::ppoll(events.data(), events.size(), timeout(), nullptr) < 0) continue;
      if (events[0].revents != 0 && !take_order()) return 0;
      pass_on(events);
      if (events[1].revents != 0) accept();
    }
  }

 private:
  std::vector<pollfd> wanted_now() {
    std::vector<pollfd> wanted{{.fd = orders_.get(), .events = POLLIN, .revents = 0},
                               {.fd = listener_.get(), .events = POLLIN, .revents = 0}};
    for (auto& each : connections_) {
      add(wanted, each.engine.get(), each.lane(Way::to_host), each.lane(Way::to_engine));
      add(wanted, each.host.get(), each.lane(Way::to_engine), each.lane(Way::to_host));
    }
    return wanted;
  }
  static void add(std::vector<pollfd>& wanted, int socket, const ProxyLane& out_of, const ProxyLane& into) {
    const auto events = (out_of.wants_to_read() ? POLLIN : 0) | (into.waits_to_write() ? POLLOUT : 0);
    wanted.push_back({.fd = events != 0 ? socket : -1, .events = static_cast<short>(events), .revents = 0});
  }

  const timespec* timeout() {
    auto next = std::numeric_limits<std::int64_t>::max();
    for (const auto& each : connections_) {
      for (const auto& lane : each.lanes) next = std::min(next, lane.due_ns().value_or(next));
    }
    if (next == std::numeric_limits<std::int64_t>::max()) return nullptr;
    const auto left = std::max<std::int64_t>(next - now_ns(), 0);
    timeout_ = {.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    return &timeout_;
  }

  void pass_on(const std::vector<pollfd>& events) {
    std::size_t at = 2;
    for (auto each = connections_.begin(); each != connections_.end();) {
      const bool engine_says = events[at].revents != 0;
      const bool host_says = events[at + 1].revents != 0;
      at += 2;
      auto& there = each->lane(Way::to_host);
      auto& back = each->lane(Way::to_engine);
      bool good = !(engine_says && there.wants_to_read()) || there.read(of(Way::to_host), now_ns(), random_);
      good = (!(host_says && back.wants_to_read()) || back.read(of(Way::to_engine), now_ns(), random_)) && good;
      good = good && there.write(now_ns(), hides_ends_) && back.write(now_ns(), hides_ends_);
      if (good && !each->is_over()) {
        ++each;
        continue;
      }
      end_connection(*each, good);
      each = connections_.erase(each);
    }
  }

  void end_connection(Relayed& connection, bool in_order) {
    if (hides_ends_) {
      // The sockets stay open until the proxy ends; nobody reads them.
      hidden_.push_back(std::move(connection.engine));
      hidden_.push_back(std::move(connection.host));
    } else if (!in_order) {
      close_hard(connection.engine);
      close_hard(connection.host);
    }
  }

  // One that the host does not take is reset.
  void accept() {
    shm::UniqueFd engine(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!engine) return;
    ++counts_.connections;
    auto host = open_socket();
    if (::connect(host.get(), reinterpret_cast<const sockaddr*>(&host_), sizeof host_) != 0) return close_hard(engine);
    send_at_once(engine);
    send_at_once(host);
    connections_.emplace_back(std::move(engine), std::move(host), limits_);
  }

  bool take_order() {
    DelayProxy::Order order;
    if (::recv(orders_.get(), &order, sizeof order, 0) != sizeof order) return false;
    using Kind = DelayProxy::Order::Kind;
    switch (order.kind) {
      case Kind::set: facts_[index_of(order.way)] = order.facts; break;
      case Kind::stall: for_all(order.way, [&](ProxyLane& lane) { lane.stall(order.bytes); }); break;
      case Kind::stall_new: limits_[index_of(order.way)] = order.bytes; break;
      case Kind::go_on:
        limits_[index_of(order.way)].reset();
        for_all(order.way, [](ProxyLane& lane) { lane.go_on(); });
        break;
      case Kind::end: for_all(order.way, [](ProxyLane& lane) { lane.end(); }); break;
      case Kind::hide_ends: hides_ends_ = true; break;
      case Kind::count: break;
    }
    for (const auto way : {Way::to_host, Way::to_engine}) {
      counts_.waiting[index_of(way)] = 0;
      for_all(way, [&](const ProxyLane& lane) { counts_.waiting[index_of(way)] += lane.waiting(); });
    }
    return ::send(orders_.get(), &counts_, sizeof counts_, MSG_NOSIGNAL) == sizeof counts_;
  }
  template <typename Do>
  void for_all(Way way, Do run) {
    for (auto& each : connections_) run(each.lane(way));
  }
  [[nodiscard]] const WayFacts& of(Way way) const { return facts_[index_of(way)]; }

  shm::UniqueFd listener_;
  shm::UniqueFd orders_;
  sockaddr_in host_;
  std::mt19937 random_;
  std::array<WayFacts, 2> facts_{};
  Relayed::Limits limits_{};
  bool hides_ends_ = false;
  std::list<Relayed> connections_;
  std::vector<shm::UniqueFd> hidden_;
  timespec timeout_{};
  DelayProxy::Counts counts_;
};

}  // namespace

DelayProxy::DelayProxy(std::uint16_t host_port, const std::string& host, const std::string& listen) {
  auto listener = open_socket();
  auto address = address_of(listen, 0);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t bytes = sizeof address;
  REQUIRE(::bind(listener.get(), generic, bytes) == 0);
  REQUIRE(::listen(listener.get(), 64) == 0);
  REQUIRE(::getsockname(listener.get(), generic, &bytes) == 0);
  port_ = ntohs(address.sin_port);
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  orders_.reset(ends[0]);
  shm::UniqueFd theirs(ends[1]);
  process_ = std::make_unique<ChildProcess>([&, to = address_of(host, host_port)] {
    orders_.reset();
    return Relay(std::move(listener), std::move(theirs), to, seed()).run();
  });
}

DelayProxy::Counts DelayProxy::send(const Order& order) const {
  Counts counts;
  REQUIRE(::send(orders_.get(), &order, sizeof order, MSG_NOSIGNAL) == sizeof order);
  REQUIRE(::recv(orders_.get(), &counts, sizeof counts, 0) == sizeof counts);
  return counts;
}

void DelayProxy::set(Way way, const WayFacts& facts) const {
  send({.kind = Order::Kind::set, .way = way, .facts = facts});
}

void DelayProxy::stall(Way way, std::uint32_t more_bytes) const {
  send({.kind = Order::Kind::stall, .way = way, .bytes = more_bytes});
}

void DelayProxy::stall_new(Way way, std::uint32_t bytes) const {
  send({.kind = Order::Kind::stall_new, .way = way, .bytes = bytes});
}

void DelayProxy::go_on(Way way) const { send({.kind = Order::Kind::go_on, .way = way}); }

void DelayProxy::end(Way way) const { send({.kind = Order::Kind::end, .way = way}); }

void DelayProxy::hide_ends() const { send({.kind = Order::Kind::hide_ends}); }

void DelayProxy::kill() {
  process_->send_signal(SIGKILL);
  CHECK(process_->wait() == 128 + SIGKILL);
}

DelayProxy::Counts DelayProxy::counts() const { return send({.kind = Order::Kind::count}); }

}  // namespace tlsmux::test
