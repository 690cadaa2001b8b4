#include "ports/diagnosis/socket_diagnosis.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <doctest/doctest.h>

#include "ports/book/port_filter.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/network_namespace.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;
using namespace tlsmux::ports;
using namespace tlsmux::test;

namespace {

PortSet set_of(std::initializer_list<std::uint16_t> ports) {
  PortSet set;
  for (const auto port : ports) set.add(port);
  return set;
}

std::vector<SocketFact> told(Protocol protocol, const PortSet& ports) {
  auto diagnosis = SocketDiagnosis::open();
  REQUIRE_MESSAGE(diagnosis.has_value(), diagnosis.error().message);
  auto facts = diagnosis->sockets(protocol, ports);
  REQUIRE_MESSAGE(facts.has_value(), facts.error().message);
  return *std::move(facts);
}

std::vector<SocketFact> told(Protocol protocol, std::uint16_t port) { return told(protocol, set_of({port})); }

const SocketFact* find(const std::vector<SocketFact>& facts, int socket) {
  const auto at = std::ranges::find(facts, socket_inode(socket), &SocketFact::inode);
  return at == facts.end() ? nullptr : &*at;
}

bool skip_without_bound_sockets() {
  const auto diagnosis = SocketDiagnosis::open();
  REQUIRE(diagnosis.has_value());
  if (diagnosis->sees_bound_sockets()) return false;
  skip("this kernel does not tell of sockets that are only bound (before Linux 6.8)");
  return true;
}

// As the kernel does it.
bool passes(const std::vector<inet_diag_bc_op>& program, std::uint16_t port) {
  auto left = static_cast<std::ptrdiff_t>(program.size() * sizeof program[0]);
  const auto size = left;
  while (left > 0) {
    const auto at = static_cast<std::size_t>(size - left) / sizeof program[0];
    const auto& operation = program.at(at);
    bool yes = false;
    if (operation.code == INET_DIAG_BC_S_GE) yes = port >= program.at(at + 1).no;
    if (operation.code == INET_DIAG_BC_S_LE) yes = port <= program.at(at + 1).no;
    left -= yes ? operation.yes : operation.no;
  }
  return left == 0;
}

PortSet random_ports(std::mt19937_64& random, int ranges, std::uint16_t from, std::uint16_t to) {
  PortSet ports;
  for (int range = 0; range < ranges; ++range) {
    const auto first = std::uniform_int_distribution<int>(from, to)(random);
    const auto last = std::min<int>(to, first + std::uniform_int_distribution<int>(0, 40)(random));
    ports.add({.from = static_cast<std::uint16_t>(first), .to = static_cast<std::uint16_t>(last)});
  }
  return ports;
}

}  // namespace

TEST_CASE("ports.sock_diag tells of a TCP socket from bind to its connections") {
  if (skip_without_network_namespaces() || skip_without_bound_sockets()) return;
  const NetworkNamespace network;
  network.in_thread([] {
    for (const int family : {AF_INET, AF_INET6}) {
      const SocketKind kind{.family = family};
      const std::uint16_t port = family == AF_INET ? kFirstPort : kFirstPort + 10;
      const std::uint16_t client_port = port + 1;
      const auto listener = bound_socket(kind, port);
      auto facts = told(Protocol::tcp, port);
      REQUIRE(facts.size() == 1);
      CHECK(facts[0].port == Port{Protocol::tcp, port});
      CHECK(facts[0].inode == socket_inode(listener.get()));
      CHECK(facts[0].is_ipv6 == (family == AF_INET6));
      CHECK_FALSE(facts[0].is_listening);
      CHECK_FALSE(facts[0].is_time_wait);

      REQUIRE(listen_on(listener.get()) == 0);
      facts = told(Protocol::tcp, port);
      REQUIRE(facts.size() == 1);
      CHECK(facts[0].is_listening);

      const auto client = bound_socket(kind, client_port);
      REQUIRE(connect_to(client.get(), port) == 0);
      CHECK(told(Protocol::tcp, port).size() == 1);  // not accepted yet
      const auto accepted = accepted_socket(listener.get());
      facts = told(Protocol::tcp, set_of({port, client_port}));
      REQUIRE(facts.size() == 3);
      for (const int socket : {client.get(), accepted.get()}) {
        const auto* fact = find(facts, socket);
        REQUIRE(fact != nullptr);
        CHECK(fact->port.number == local_port(socket));
        CHECK_FALSE(fact->is_listening);
        CHECK_FALSE(fact->is_time_wait);
      }
    }
  });
}

TEST_CASE("ports.sock_diag tells of connections that linger without an owner") {
  if (skip_without_network_namespaces()) return;
  const NetworkNamespace network;
  network.in_thread([] {
    const auto listener = listening_socket({}, kFirstPort);
    auto client = bound_socket({}, kFirstPort + 1);
    REQUIRE(connect_to(client.get(), kFirstPort) == 0);
    auto accepted = accepted_socket(listener.get());

    client.reset();  // FIN_WAIT2 while the other side is open, then TIME_WAIT
    for (const bool other_is_open : {true, false}) {
      if (!other_is_open) accepted.reset();
      const auto facts = told(Protocol::tcp, kFirstPort + 1);
      REQUIRE(facts.size() == 1);
      CHECK(facts[0].is_time_wait);
      CHECK(facts[0].inode == 0);
      CHECK(facts[0].uid == 0);
    }
  });
}

TEST_CASE("ports.sock_diag tells of UDP sockets and keeps the protocols apart") {
  if (skip_without_network_namespaces() || skip_without_bound_sockets()) return;
  const NetworkNamespace network;
  network.in_thread([] {
    const auto tcp = bound_socket({}, kFirstPort);
    const auto bound = bound_socket({.type = SOCK_DGRAM}, kFirstPort);
    const auto connected = bound_socket({.family = AF_INET6, .type = SOCK_DGRAM}, kFirstPort + 1);
    REQUIRE(connect_to(connected.get(), kFirstPort) == 0);

    const auto facts = told(Protocol::udp, set_of({kFirstPort, kFirstPort + 1}));
    REQUIRE(facts.size() == 2);
    REQUIRE(find(facts, bound.get()) != nullptr);
    REQUIRE(find(facts, connected.get()) != nullptr);
    CHECK_FALSE(find(facts, bound.get())->is_ipv6);
    CHECK(find(facts, connected.get())->is_ipv6);
    CHECK(find(facts, bound.get())->port == Port{Protocol::udp, kFirstPort});
    CHECK_FALSE(find(facts, bound.get())->is_listening);

    REQUIRE(told(Protocol::tcp, kFirstPort).size() == 1);
    CHECK(told(Protocol::tcp, kFirstPort)[0].inode == socket_inode(tcp.get()));
  });
}

TEST_CASE("ports.sock_diag tells of each socket that shares a port, of both families") {
  if (skip_without_network_namespaces() || skip_without_bound_sockets()) return;
  const NetworkNamespace network;
  network.in_thread([] {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      const auto first = bound_socket({.type = type, .shares_port = true}, kFirstPort);
      const auto second = bound_socket({.type = type, .shares_port = true}, kFirstPort);
      const auto v6 =
          bound_socket({.family = AF_INET6, .type = type, .shares_port = true, .is_v6_only = true}, kFirstPort);
      const auto both = bound_socket({.family = AF_INET6, .type = type, .shares_port = true}, kFirstPort);
      const auto facts = told(type == SOCK_STREAM ? Protocol::tcp : Protocol::udp, kFirstPort);
      CHECK(facts.size() == 4);
      for (const auto* socket : {&first, &second, &v6, &both}) CHECK(find(facts, socket->get()) != nullptr);
      CHECK(find(facts, both.get())->is_ipv6);
    }
  });
}

TEST_CASE("ports.sock_diag needs no privilege and names the user") {
  if (skip_without_network_namespaces() || skip_without_bound_sockets()) return;
  const NetworkNamespace network;
  shm::UniqueFd socket;
  network.in_thread([&] {
    socket = bound_socket({}, kFirstPort);
    REQUIRE(::fchown(socket.get(), 1700, static_cast<gid_t>(-1)) == 0);
  });
  const auto inode = socket_inode(socket.get());
  CHECK(network.in_process(
            [&] {
              const auto facts = told(Protocol::tcp, kFirstPort);
              return facts.size() == 1 && facts[0].inode == inode && facts[0].uid == 1700 ? 0 : 1;
            },
            {.uid = 1701, .gid = 1701}) == 0);
}

TEST_CASE("ports.sock_diag tells nothing of other ports and other network namespaces") {
  if (skip_without_network_namespaces()) return;
  const NetworkNamespace network;
  const NetworkNamespace other;
  shm::UniqueFd socket;
  network.in_thread([&] { socket = listening_socket({}, kFirstPort); });
  network.in_thread([] {
    CHECK(told(Protocol::tcp, PortSet{}).empty());
    CHECK(told(Protocol::tcp, set_of({kFirstPort - 1, kFirstPort + 1})).empty());
    CHECK(told(Protocol::udp, kFirstPort).empty());
    CHECK(told(Protocol::tcp, kFirstPort).size() == 1);
  });
  other.in_thread([] { CHECK(told(Protocol::tcp, kFirstPort).empty()); });
}

TEST_CASE("ports.a filter program passes the ports of its set") {
  std::mt19937_64 random(seed());
  for (const int ranges : {1, 2, 40, 64}) {
    auto ports = random_ports(random, ranges, 1, 65535);
    if (ranges == 2) ports = set_of({1, 65535});
    const auto program = make_port_filter(ports);
    int wrong = 0;
    for (std::uint32_t port = 0; port <= 65535; ++port) {
      const auto number = static_cast<std::uint16_t>(port);
      if (passes(program, number) != ports.contains(number)) ++wrong;
    }
    CHECK_MESSAGE(wrong == 0, "TLSMUX_SEED=", seed(), " ", ports.text());
  }
}

TEST_CASE("ports.a filter program of too many ranges joins the nearest") {
  const std::vector<PortRange> ranges{{1, 2}, {4, 5}, {100, 100}, {103, 103}, {1000, 1001}};
  CHECK(coarsened(ranges, 5) == ranges);
  CHECK(coarsened(ranges, 4) == std::vector<PortRange>{{1, 5}, {100, 100}, {103, 103}, {1000, 1001}});
  CHECK(coarsened(ranges, 3) == std::vector<PortRange>{{1, 5}, {100, 103}, {1000, 1001}});
  CHECK(coarsened(ranges, 1) == std::vector<PortRange>{{1, 1001}});

  std::mt19937_64 random(seed());
  const auto ports = random_ports(random, 600, 1, 65535);
  const auto program = make_port_filter(ports);
  CHECK(program.size() <= kFilterRangesMax * 7);
  int lost = 0;
  for (std::uint32_t port = 0; port <= 65535; ++port) {
    const auto number = static_cast<std::uint16_t>(port);
    if (ports.contains(number) && !passes(program, number)) ++lost;
  }
  CHECK_MESSAGE(lost == 0, "TLSMUX_SEED=", seed());
}

TEST_CASE("ports.sock_diag tells of all of 5,000 sockets and of no other") {
  constexpr std::uint16_t kSockets = 5000;
  if (skip_without_network_namespaces() || skip_without_bound_sockets()) return;
  rlimit files{.rlim_cur = kSockets + 200, .rlim_max = kSockets + 200};
  if (rlimit now{}; ::getrlimit(RLIMIT_NOFILE, &now) == 0) files.rlim_max = std::max(now.rlim_max, files.rlim_max);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  std::mt19937_64 random(seed());
  const NetworkNamespace network;
  network.in_thread([&] {
    std::map<std::uint16_t, shm::UniqueFd> sockets;
    for (std::uint16_t port = kFirstPort; port < kFirstPort + kSockets; ++port) {
      const SocketKind kind{.family = port % 2 == 0 ? AF_INET : AF_INET6,
                            .type = port % 5 == 0 ? SOCK_DGRAM : SOCK_STREAM};
      sockets[port] =
          port % 3 == 0 && kind.type == SOCK_STREAM ? listening_socket(kind, port) : bound_socket(kind, port);
    }
    for (const int ranges : {1, 60, 300}) {
      const auto wanted = random_ports(random, ranges, kFirstPort - 100, kFirstPort + kSockets + 100);
      for (const auto protocol : kProtocols) {
        std::set<std::uint64_t> expected;
        for (const auto& [port, socket] : sockets) {
          const bool is_udp = port % 5 == 0;
          if (wanted.contains(port) && is_udp == (protocol == Protocol::udp))
            expected.insert(socket_inode(socket.get()));
        }
        std::set<std::uint64_t> found;
        for (const auto& fact : told(protocol, wanted)) found.insert(fact.inode);
        CHECK_MESSAGE(found == expected, "TLSMUX_SEED=", seed(), " ", ranges, " ranges");
      }
    }
  });
}
