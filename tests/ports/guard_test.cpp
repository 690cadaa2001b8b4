// Whom the guard lets bind what.

#include "ports/guard.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ports/guard_rig.hpp"
#include "tests/ports/sockets.hpp"

namespace tlsmux::test {
namespace {

using ports::Guard;

constexpr std::uint16_t kPort = 2000;
constexpr std::uint16_t kOtherPort = 2001;
constexpr std::uint16_t kLowPort = 443;

constexpr SocketKind kTcp4{};
constexpr SocketKind kUdp4{.type = SOCK_DGRAM};
constexpr SocketKind kTcp6{.family = AF_INET6};
constexpr SocketKind kUdp6{.family = AF_INET6, .type = SOCK_DGRAM};
constexpr SocketKind kAllKinds[] = {kTcp4, kUdp4, kTcp6, kUdp6};

// Of an IPv6 socket to an IPv4 address.
int bind_mapped(std::uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}};
  const auto socket = make_socket(kTcp6);
  return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
}

}  // namespace

TEST_CASE("ports.guard lets a service's users and groups bind its ports and nobody else") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({tcp(kPort), udp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  for (const auto& kind : kAllKinds) {
    CHECK(rig.bind(kMemberIdentity, kPort, kind) == 0);
    CHECK(rig.bind(kGroupIdentity, kPort, kind) == 0);
    CHECK(rig.bind(kStrangerIdentity, kPort, kind) == EACCES);
    CHECK(rig.bind({.uid = 0, .gid = 0}, kPort, kind) == EACCES);
    CHECK(rig.bind(kStrangerIdentity, kOtherPort, kind) == 0);
    // Supplementary groups are beyond its sight.
    CHECK(rig.bind({.uid = kStranger, .gid = 1800, .groups = {kMemberGroup}}, kPort, kind) == EACCES);
  }
  CHECK(rig.as(kMemberIdentity, [] { return bind_mapped(kPort); }) == 0);
  CHECK(rig.as(kStrangerIdentity, [] { return bind_mapped(kPort); }) == EACCES);
}

TEST_CASE("ports.guard tells TCP and UDP apart") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({tcp(kPort), udp(kOtherPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(rig.bind(kStrangerIdentity, kPort, kTcp4) == EACCES);
  CHECK(rig.bind(kStrangerIdentity, kPort, kUdp4) == 0);
  CHECK(rig.bind(kStrangerIdentity, kOtherPort, kTcp6) == 0);
  CHECK(rig.bind(kStrangerIdentity, kOtherPort, kUdp6) == EACCES);
}

TEST_CASE("ports.guard keeps services apart") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto rules = guarding({tcp(kPort)});
  rules.services.push_back({.name = "SHOP", .users = {kStranger}, .unix_groups = {}, .ports = {tcp(kOtherPort)}});
  const auto guard = rig.put(rig.place(), rules);
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(rig.bind(kMemberIdentity, kPort) == 0);
  CHECK(rig.bind(kMemberIdentity, kOtherPort) == EACCES);
  CHECK(rig.bind(kStrangerIdentity, kOtherPort) == 0);
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
}

TEST_CASE("ports.guard judges the port that the kernel chose") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  rig.network().set_sysctl("net/ipv4/ip_local_port_range", "40000\t40001");
  const auto guard = rig.put(rig.place(), guarding({tcp(40000), tcp(40001), udp(40000), udp(40001)}));
  REQUIRE_MESSAGE(guard, guard.error());
  for (const auto& kind : kAllKinds) {
    CHECK(rig.bind(kStrangerIdentity, 0, kind) == EACCES);
    CHECK(rig.bind(kMemberIdentity, 0, kind) == 0);
  }
}

TEST_CASE("ports.guard lets members bind low ports without a capability") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({tcp(kLowPort), udp(kLowPort), tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  for (const auto& kind : kAllKinds) {
    CHECK(rig.bind(kMemberIdentity, kLowPort, kind) == 0);
    CHECK(rig.bind(kMemberIdentity, kLowPort + 1, kind) == EACCES);  // by the kernel's own rule
    CHECK(rig.bind({.uid = 0, .gid = 0}, kLowPort, kind) == EACCES);
    CHECK(rig.bind({.uid = 0, .gid = 0}, kLowPort + 1, kind) == 0);
  }
  // Which ports are low is the administrator's to say.
  rig.network().set_sysctl("net/ipv4/ip_unprivileged_port_start", "3000");
  CHECK(rig.bind(kMemberIdentity, kPort) == 0);
  CHECK(rig.bind(kMemberIdentity, kOtherPort) == EACCES);
}

TEST_CASE("ports.guard keeps strangers off a port that members share") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({udp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  shm::UniqueFd held;
  rig.network().in_thread([&] {
    held = make_socket({.type = SOCK_DGRAM, .shares_port = true});  // made outside the cgroup: not judged
    REQUIRE(bind_socket(held.get(), kPort) == 0);
  });
  CHECK(rig.bind(kStrangerIdentity, kPort, {.type = SOCK_DGRAM, .shares_port = true}) == EACCES);
  CHECK(rig.bind(kMemberIdentity, kPort, {.type = SOCK_DGRAM}) == EADDRINUSE);
}

TEST_CASE("ports.guard leaves other network namespaces and cgroups alone") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);

  const NetworkNamespace other;
  CHECK(rig.network().in_process([&] {
    rig.enter({});
    other.enter(kStrangerIdentity);
    return bind_socket(make_socket().get(), kPort);
  }) == 0);
  CHECK(rig.network().in_process([] { return bind_socket(make_socket().get(), kPort); }, kStrangerIdentity) == 0);
}

TEST_CASE("ports.guard is put on the root of all cgroups where none is named") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  auto place = rig.place();
  place.cgroup.clear();
  const auto guard = rig.put(place, guarding({tcp(kPort)}));
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
  CHECK(rig.network().in_process([] { return bind_socket(make_socket().get(), kPort); }, kStrangerIdentity) == EACCES);
  CHECK(rig.bind(kMemberIdentity, kPort) == 0);
  CHECK(Guard::remove(place).value());
  CHECK(rig.bind(kStrangerIdentity, kPort) == 0);
}

TEST_CASE("ports.guard outlives who put it, changes its rules, and goes") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  {
    auto guard = rig.put(rig.place(), guarding({tcp(kPort)}));
    REQUIRE_MESSAGE(guard, guard.error());
  }
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
  CHECK(Guard::instances(rig.place().bpf_directory) == std::vector<std::string>{"test"});

  auto guard = rig.put(rig.place(), guarding({tcp(kOtherPort)}, "SHOP"));
  REQUIRE_MESSAGE(guard, guard.error());
  CHECK(rig.bind(kStrangerIdentity, kPort) == 0);
  CHECK(rig.bind(kStrangerIdentity, kOtherPort) == EACCES);
  CHECK(GuardRig::attached_programs(rig.cgroup()) == 4);
  REQUIRE(guard->set_rules(guarding({udp(kPort)})));
  CHECK(rig.bind(kStrangerIdentity, kOtherPort) == 0);
  CHECK(rig.bind(kStrangerIdentity, kPort, kUdp4) == EACCES);
  REQUIRE(guard->set_rules({}));
  CHECK(rig.bind(kStrangerIdentity, kPort, kUdp4) == 0);
  REQUIRE(guard->set_rules(guarding({udp(kPort)})));

  CHECK(Guard::remove(rig.place()).value());
  CHECK(rig.bind(kStrangerIdentity, kPort, kUdp4) == 0);
  CHECK(GuardRig::attached_programs(rig.cgroup()) == 0);
  CHECK(rig.pins().empty());
  CHECK(Guard::instances(rig.place().bpf_directory).empty());
  CHECK_FALSE(Guard::remove(rig.place()).value());
  const auto changed = guard->set_rules({});
  REQUIRE_FALSE(changed);
  CHECK(changed.error().find("was taken away") != std::string::npos);
}

TEST_CASE("ports.guard of another engine is another guard") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto one = rig.put(rig.place("one"), guarding({tcp(kPort), tcp(kLowPort)}));
  REQUIRE_MESSAGE(one, one.error());
  const auto two =
      rig.put(rig.place("two"),
              {.services = {{.name = "SHOP", .users = {kStranger}, .unix_groups = {}, .ports = {tcp(kOtherPort)}}}});
  REQUIRE_MESSAGE(two, two.error());
  CHECK(Guard::instances(rig.place().bpf_directory) == std::vector<std::string>{"one", "two"});
  CHECK(rig.bind(kMemberIdentity, kPort) == 0);
  CHECK(rig.bind(kMemberIdentity, kLowPort) == 0);
  CHECK(rig.bind(kMemberIdentity, kOtherPort) == EACCES);
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
  CHECK(rig.bind(kStrangerIdentity, kOtherPort) == 0);
  CHECK(Guard::remove(rig.place("one")).value());
  CHECK(rig.bind(kStrangerIdentity, kPort) == 0);
  CHECK(rig.bind(kMemberIdentity, kOtherPort) == EACCES);
  CHECK(Guard::remove(rig.place("two")).value());
}

TEST_CASE("ports.guard follows its engine to another cgroup or network namespace") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  REQUIRE(rig.put(rig.place(), guarding({tcp(kPort)})));
  auto outer = rig.place();
  outer.cgroup = rig.outer_cgroup();
  REQUIRE(rig.put(outer, guarding({tcp(kPort)})));
  CHECK(GuardRig::attached_programs(rig.cgroup()) == 0);
  CHECK(GuardRig::attached_programs(rig.outer_cgroup()) == 4);
  CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);

  const NetworkNamespace other;
  other.in_thread([&] { REQUIRE(Guard::put(outer, guarding({tcp(kPort)}))); });
  CHECK(rig.bind(kStrangerIdentity, kPort) == 0);
  CHECK(GuardRig::attached_programs(rig.outer_cgroup()) == 4);
  CHECK(Guard::instances(outer.bpf_directory) == std::vector<std::string>{"test"});
  CHECK(Guard::remove(outer).value());
}

TEST_CASE("ports.guard says what is wrong and what to do") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const auto words_of = [](const auto& result) { return result ? std::string() : result.error(); };
  auto place = rig.place();
  place.bpf_directory = "/tmp";
  CHECK(words_of(Guard::probe(place)).find("mount -t bpf bpf /tmp") != std::string::npos);
  place = rig.place();
  place.cgroup = "/tmp";
  CHECK(words_of(Guard::probe(place)).find("not a cgroup of version 2") != std::string::npos);
  place = rig.place("a.b");
  CHECK(words_of(Guard::probe(place)).find("a.b") != std::string::npos);
  CHECK(rig.as(kMemberIdentity, [&] {
    return words_of(Guard::probe(rig.place())).find("missing: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN") ==
           std::string::npos;
  }) == 0);

  auto rules = guarding({tcp(kPort)});
  rules.services.push_back({.name = "SHOP", .users = {}, .unix_groups = {}, .ports = {tcp(kPort)}});
  CHECK(words_of(rig.put(rig.place(), rules)) == "tcp/2000 belongs to both BANK and SHOP");
  CHECK(rig.pins().empty());
  CHECK(GuardRig::attached_programs(rig.cgroup()) == 0);
}

}  // namespace tlsmux::test
