#include "ports/enforcement/holder_sockets.hpp"

#include <unistd.h>

#include <cerrno>
#include <functional>

#include <doctest/doctest.h>

#include "ports/diagnosis/socket_diagnosis.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/network_namespace.hpp"

using namespace tlsmux;
using namespace tlsmux::ports;
using namespace tlsmux::test;

namespace {

constexpr uid_t kUser = 1700;
constexpr Identity kMember{.uid = kUser, .gid = 1700};
constexpr Identity kStranger{.uid = 1701, .gid = 1701};
constexpr Identity kRoot{};

constexpr SocketKind kSharing{.shares_port = true};
constexpr SocketKind kSharingV6{.family = AF_INET6, .shares_port = true};
constexpr SocketKind kSharingV6Only{.family = AF_INET6, .shares_port = true, .is_v6_only = true};

// In a network namespace of the test's own, where members may bind low ports.
struct Scene {
  Scene() { network.set_sysctl("net/ipv4/ip_unprivileged_port_start", "0"); }
  ~Scene() {
    network.in_thread([this] { holders = {}; });
  }

  std::vector<HolderSockets::Failure> hold(PortRange range, uid_t user = kUser) {
    std::vector<HolderSockets::Failure> failures;
    PortSet ports;
    ports.add(range);
    network.in_thread([&] { failures = holders.hold(ports, user); });
    return failures;
  }

  // The errno of bind and listen as that user, or 0.
  [[nodiscard]] int try_port(std::uint16_t port, const Identity& identity, const SocketKind& kind) const {
    return network.in_process(
        [&] {
          const auto socket = make_socket(kind);
          const int error = bind_socket(socket.get(), port);
          return error != 0 ? error : listen_on(socket.get());
        },
        identity);
  }

  NetworkNamespace network;
  HolderSockets holders;
};

}  // namespace

TEST_CASE("ports.a held port is its user's, who shares it") {
  if (skip_without_network_namespaces()) return;
  Scene scene;
  REQUIRE(scene.hold({kFirstPort, kFirstPort + 9}).empty());
  CHECK(scene.holders.count() == 20);
  for (const auto& kind : {kSharing, kSharingV6, kSharingV6Only}) {
    CHECK(scene.try_port(kFirstPort, kMember, kind) == 0);
    CHECK(scene.try_port(kFirstPort, kStranger, kind) == EADDRINUSE);
    CHECK(scene.try_port(kFirstPort, kRoot, kind) == EADDRINUSE);
  }
  CHECK(scene.try_port(kFirstPort, kMember, {}) == EADDRINUSE);
  CHECK(scene.try_port(kFirstPort, kStranger, {}) == EADDRINUSE);
  CHECK(scene.try_port(kFirstPort, kRoot, {}) == EADDRINUSE);
  CHECK(scene.try_port(kFirstPort, kRoot, {.family = AF_INET6}) == EADDRINUSE);
  CHECK(scene.try_port(kFirstPort + 10, kStranger, {}) == 0);
}

TEST_CASE("ports.a holder takes no connection and no datagram from the one who listens") {
  if (skip_without_network_namespaces()) return;
  Scene scene;
  REQUIRE(scene.hold({kFirstPort, kFirstPort}).empty());
  CHECK(scene.network.in_process(
            [] {
              const auto listener = listening_socket(kSharing, kFirstPort);
              for (int count = 0; count < 100; ++count) {
                const auto client = connected_socket({}, kFirstPort);
                const auto accepted = accepted_socket(listener.get());
              }
              // Nothing is held of UDP.
              const auto datagrams = bound_socket({.type = SOCK_DGRAM}, kFirstPort);
              return 0;
            },
            kMember) == 0);
}

TEST_CASE("ports.the kernel gives held ports to nobody by itself") {
  if (skip_without_network_namespaces()) return;
  Scene scene;
  scene.network.set_sysctl("net/ipv4/ip_local_port_range", "1000 1019");
  REQUIRE(scene.hold({kFirstPort, kFirstPort + 9}).empty());
  CHECK(scene.network.in_process(
            [] {
              const auto is_free = [](int socket) { return local_port(socket) >= kFirstPort + 10; };
              const auto listener = listening_socket({}, 2000);
              std::vector<shm::UniqueFd> sockets;
              for (int count = 0; count < 4; ++count) {
                sockets.push_back(bound_socket({}, 0));
                if (!is_free(sockets.back().get())) return 1;
                sockets.push_back(connected_socket({}, 2000));
                if (!is_free(sockets.back().get())) return 2;
              }
              return 0;
            },
            kStranger) == 0);
}

TEST_CASE("ports.holding other ports lets go of those only that are no longer wanted") {
  if (skip_without_network_namespaces()) return;
  Scene scene;
  REQUIRE(scene.hold({kFirstPort, kFirstPort + 9}).empty());
  const auto held = [&] {
    PortSet ports;
    ports.add({.from = kFirstPort, .to = kFirstPort + 20});
    std::vector<SocketFact> facts;
    scene.network.in_thread([&] { facts = SocketDiagnosis::open()->sockets(Protocol::tcp, ports).value(); });
    return facts;
  };
  const auto before = held();
  if (before.empty()) {
    MESSAGE("this kernel does not tell of sockets that are only bound; their inodes are not compared");
  }
  for (const auto& fact : before) {
    CHECK(scene.holders.is_holder(fact.inode));
    CHECK(fact.uid == kUser);
  }
  CHECK_FALSE(scene.holders.is_holder(0));

  REQUIRE(scene.hold({kFirstPort + 5, kFirstPort + 14}).empty());
  CHECK(scene.holders.count() == 20);
  for (const auto& fact : before) {
    CHECK(scene.holders.is_holder(fact.inode) == (fact.port.number >= kFirstPort + 5));
  }
  CHECK(scene.try_port(kFirstPort + 4, kStranger, {}) == 0);
  CHECK(scene.try_port(kFirstPort + 14, kStranger, {}) == EADDRINUSE);

  REQUIRE(scene.hold({kFirstPort + 5, kFirstPort + 14}, kStranger.uid).empty());
  CHECK(scene.try_port(kFirstPort + 5, kMember, kSharing) == EADDRINUSE);
  CHECK(scene.try_port(kFirstPort + 5, kStranger, kSharing) == 0);
}

TEST_CASE("ports.a port that somebody has cannot be held and is told") {
  if (skip_without_network_namespaces()) return;
  Scene scene;
  shm::UniqueFd taken;
  scene.network.in_thread([&] { taken = bound_socket({.family = AF_INET6, .is_v6_only = true}, kFirstPort + 1); });
  const auto failures = scene.hold({kFirstPort, kFirstPort + 2});
  REQUIRE(failures.size() == 1);
  CHECK(failures[0].port == kFirstPort + 1);
  CHECK(failures[0].error == EADDRINUSE);
  CHECK(scene.try_port(kFirstPort + 1, kRoot, {}) == EADDRINUSE);  // the other family's

  taken.reset();
  CHECK(scene.hold({kFirstPort, kFirstPort + 2}).empty());
  CHECK(scene.holders.count() == 6);
}
