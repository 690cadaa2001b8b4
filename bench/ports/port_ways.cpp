#include "bench/ports/port_ways.hpp"

#include <poll.h>

#include <memory>
#include <stdexcept>
#include <utility>

#include "bench/monotonic_clock.hpp"
#include "bench/process/interrupt.hpp"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51  // Linux 6.3
#endif

namespace tlsmux::bench {
namespace {

constexpr std::uint32_t kSeed = 1'000;

void pause() {
  throw_if_interrupted();
  ::poll(nullptr, 0, 1);
}

// tmx_client_bind with a port that is on lease. Waiting for leases is not in the time.
class LeasedBind {
 public:
  LeasedBind(const PortLab& lab, ports::Protocol protocol)
      : client_(lab.leasing_group(), lab.control_socket()), protocol_(protocol) {}

  std::uint64_t bind() {
    while (on_lease_ == 0) await_leases();
    --on_lease_;
    auto socket = make_socket(protocol_);
    const auto start_ns = now_ns();
    const auto port = client_.bind(socket);
    const auto end_ns = now_ns();
    socket.reset();
    taken_.push_back(port);
    return end_ns - start_ns;
  }

 private:
  void await_leases() {
    for (const auto port : std::exchange(taken_, {})) client_.release(protocol_, port);
    on_lease_ = client_.leases(protocol_);
    if (on_lease_ > 0) return;
    client_.ask_for_leases(protocol_);
    pause();
  }

  PortClient client_;
  ports::Protocol protocol_;
  std::uint32_t on_lease_ = 0;
  std::vector<std::uint16_t> taken_;
};

// tmx_client_bind, for which the library must ask. Waiting until the last port is free again is not in the time.
class AskedBind {
 public:
  AskedBind(const PortLab& lab, ports::Protocol protocol)
      : client_(lab.asking_group(), lab.control_socket()), protocol_(protocol) {}

  std::uint64_t bind() {
    while (client_.free_ports(protocol_) != 1) pause();
    auto socket = make_socket(protocol_);
    const auto start_ns = now_ns();
    const auto port = client_.bind(socket);
    const auto end_ns = now_ns();
    socket.reset();
    client_.release(protocol_, port);
    return end_ns - start_ns;
  }

 private:
  PortClient client_;
  ports::Protocol protocol_;
};

std::uint64_t bind_known(ports::Protocol protocol) {
  const auto socket = make_socket(protocol);
  const auto start_ns = now_ns();
  const bool is_bound = bind_to(socket, PortLab::free_port());
  const auto end_ns = now_ns();
  if (!is_bound) throw std::runtime_error(shm::last_error("binding a port that should be free").message);
  return end_ns - start_ns;
}

std::uint64_t scan(ports::Protocol protocol) {
  const auto range = PortLab::ungrouped();
  const auto socket = make_socket(protocol);
  const auto start_ns = now_ns();
  auto port = range.first;
  while (!bind_to(socket, port)) ++port;
  return now_ns() - start_ns;
}

std::uint64_t scan_with_new_sockets(ports::Protocol protocol) {
  const auto range = PortLab::ungrouped();
  auto socket = make_socket(protocol);
  const auto start_ns = now_ns();
  auto port = range.first;
  for (; !bind_to(socket, port); ++port) {
    socket.reset();
    socket = make_socket(protocol);
  }
  return now_ns() - start_ns;
}

std::uint64_t probe(ports::Protocol protocol, std::mt19937& random) {
  const auto range = PortLab::ungrouped();
  std::uniform_int_distribution<std::uint16_t> port(range.first, range.last());
  const auto socket = make_socket(protocol);
  const auto start_ns = now_ns();
  while (!bind_to(socket, port(random))) continue;
  return now_ns() - start_ns;
}

bool limit_to(const shm::UniqueFd& socket, Thousand range) {
  const std::uint32_t limits = std::uint32_t{range.last()} << 16 | range.first;
  return ::setsockopt(socket.get(), IPPROTO_IP, IP_LOCAL_PORT_RANGE, &limits, sizeof limits) == 0;
}

std::uint64_t let_kernel_pick(ports::Protocol protocol) {
  const auto socket = make_socket(protocol);
  const auto start_ns = now_ns();
  const bool is_bound = limit_to(socket, PortLab::ungrouped()) && bind_to(socket, 0);
  const auto end_ns = now_ns();
  if (!is_bound) throw std::runtime_error("the kernel finds no port");
  return end_ns - start_ns;
}

}  // namespace

std::vector<PortWay> port_ways(const PortLab& lab, ports::Protocol protocol) {
  std::vector<PortWay> ways;
  const auto leased = std::make_shared<LeasedBind>(lab, protocol);
  const auto asked = std::make_shared<AskedBind>(lab, protocol);
  ways.push_back({.name = "tlsmux_leased", .bind = [leased] { return leased->bind(); }});
  ways.push_back({.name = "tlsmux_asked", .bind = [asked] { return asked->bind(); }});
  ways.push_back({.name = "known_port", .bind = [protocol] { return bind_known(protocol); }});
  if (kernel_pick_obstacle().empty()) {
    ways.push_back({.name = "kernel_pick", .bind = [protocol] { return let_kernel_pick(protocol); }});
  }
  ways.push_back({.name = "random_probing",
                  .bind = [protocol, random = std::mt19937(kSeed)]() mutable { return probe(protocol, random); }});
  ways.push_back({.name = "scan_one_socket", .bind = [protocol] { return scan(protocol); }});
  ways.push_back({.name = "scan_new_sockets", .bind = [protocol] { return scan_with_new_sockets(protocol); }});
  return ways;
}

std::string kernel_pick_obstacle() {
  const auto socket = make_socket(ports::Protocol::tcp);
  if (limit_to(socket, PortLab::ungrouped())) return {};
  return shm::last_error("IP_LOCAL_PORT_RANGE, which Linux 6.3 brought").message;
}

}  // namespace tlsmux::bench
