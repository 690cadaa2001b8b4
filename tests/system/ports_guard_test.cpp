// Reservation and guard in place: nobody but a group's members gets one of its ports, whatever call is made, whatever is
// killed meanwhile.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/ports/restless_binder.hpp"
#include "tests/ports/ring_bind.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/await.hpp"
#include "tests/system/port_choice.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/port_stranger.hpp"
#include "tests/system/port_user.hpp"

namespace tlsmux::test {
namespace {

constexpr int kImpossible = 255;
constexpr std::uint16_t kListening = 11'000;  // nobody's
constexpr int kChoices = 80;
constexpr int kLocalPortRange = 51;  // IP_LOCAL_PORT_RANGE, which older headers lack
const auto kStrangers = std::vector{kOutsider, kSecondUser, kRoot};

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int bind_by_system_call(std::uint16_t port) {
  const auto address = loopback(port);
  return ::syscall(SYS_bind, make_socket().get(), &address, sizeof address) == 0 ? 0 : errno;
}

int bind_with_ring(std::uint16_t port) {
  const auto address = loopback(port);
  const int error = bind_by_ring(make_socket().get(), reinterpret_cast<const sockaddr&>(address), sizeof address);
  return error < 0 ? kImpossible : error;
}

// In a child: how many of so many chosen ports, all of which stay in use, are a group's.
int choose(const PortScene& scene, ChoosingCall call, const SocketKind& kind) {
  std::vector<shm::UniqueFd> sockets;
  int wrong = 0;
  for (int i = 0; i < kChoices; ++i) {
    auto chosen = choose_port(call, kind, kListening);
    if (chosen.error != 0) return kImpossible;
    wrong += scene.ports_of(0).contains(chosen.port) || scene.ports_of(1).contains(chosen.port) ? 1 : 0;
    sockets.push_back(std::move(chosen.socket));
  }
  return wrong;
}

}  // namespace

TEST_CASE("ports.a stranger cannot bind a group's port by any call, and members can") {
  if (skip_without_guard()) return;
  PortScene scene(PortScene::Level::guard);
  CHECK(port_summary(scene.first()).reservation == shm::PortEnforcement::on);
  CHECK(port_summary(scene.first()).guard == shm::PortEnforcement::on);
  const bool has_ring = scene.as(kFirstUser, [] { return bind_with_ring(12'001); }) != kImpossible;
  if (!has_ring) skip("this kernel has no bind by io_uring (Linux 6.11)");
  const std::string static_program = TLSMUX_STATIC_BIND;
  if (static_program.empty()) skip("no static program can be built here");
  const shm::UniqueFd program(static_program.empty() ? -1 : ::open(static_program.c_str(), O_RDONLY | O_CLOEXEC));
  const auto run_static = [&](std::uint16_t port) {
    auto number = std::to_string(port);
    char name[] = "static_bind";
    char* const arguments[] = {name, number.data(), nullptr};
    ::fexecve(program.get(), arguments, environ);
    return kImpossible;
  };
  std::vector<std::pair<Identity, int>> all{{kFirstUser, 0}, {kFirstByGid, 0}};
  for (const auto& stranger : kStrangers) all.emplace_back(stranger, EACCES);
  all.emplace_back(kFirstBySupplement, EACCES);  // beyond the guard's sight before it has attached
  for (const auto& [who, expected] : all) {
    CAPTURE(who.uid);
    for (const std::uint16_t port : {kFirstRange.from, kFirstRange.to, kFirstStatic, kLowStatic}) {
      CAPTURE(port);
      for (const auto& kind : kSocketKinds) {
        CHECK(scene.as(who, [&] { return bind_socket(make_socket(kind).get(), port); }) == expected);
      }
      CHECK(scene.as(who, [&] { return bind_by_system_call(port); }) == expected);
      if (has_ring) CHECK(scene.as(who, [&] { return bind_with_ring(port); }) == expected);
      if (program) CHECK(scene.as(who, [&] { return run_static(port); }) == expected);
    }
  }
  await([&] { return port_summary(scene.first()).denials > 0 && !port_denials(scene.first()).empty(); });
  const auto last = port_denials(scene.first()).back();
  CHECK(last.uid == kFirstBySupplement.uid);
  CHECK(last.port.number == kLowStatic);
  scene.stop();
}

TEST_CASE("ports.the kernel chooses no port of a group for anybody: bind, connect, sendto, listen") {
  if (skip_without_guard()) return;
  PortScene scene(PortScene::Level::guard);
  // 400 ports, of which 100 are the group's. Connections linger at some of the others.
  scene.network().set_sysctl("net/ipv4/ip_local_port_range", "11850 12249");
  shm::UniqueFd tcp_listener;
  shm::UniqueFd udp_receiver;
  scene.network().in_thread([&] {
    tcp_listener = bound_socket(kTcp6, kListening);             // for both families
    REQUIRE(::listen(tcp_listener.get(), 10 * kChoices) == 0);  // nobody accepts
    udp_receiver = bound_socket(kUdp6, kListening);
  });
  for (const auto& kind : kSocketKinds) {
    CAPTURE(kind.family);
    CAPTURE(kind.type);
    for (const auto call : kChoosingCalls) {
      if (!fits(call, kind)) continue;
      CAPTURE(name(call));
      CHECK(scene.as(kOutsider, [&] { return choose(scene, call, kind); }) == 0);
    }
  }
  // Nor was any of these calls refused, or they would have failed the child.
  CHECK(port_summary(scene.first()).denials == 0);
  scene.stop();
}

TEST_CASE("ports.the kernel has no port for a stranger who has it choose among a group's alone") {
  if (skip_without_guard()) return;
  PortScene scene(PortScene::Level::guard);
  scene.network().set_sysctl("net/ipv4/ip_local_port_range", "11850 12249");
  shm::UniqueFd tcp_listener;
  scene.network().in_thread([&] { tcp_listener = listening_socket(kTcp6, kListening); });
  const auto choose_among = [&](ChoosingCall call, const SocketKind& kind, std::uint32_t from, std::uint32_t to) {
    return scene.as(kOutsider, [&] {
      const auto socket = make_socket(kind);
      const std::uint32_t range = to << 16U | from;
      if (::setsockopt(socket.get(), IPPROTO_IP, kLocalPortRange, &range, sizeof range) != 0) return kImpossible;
      return choose_port(call, socket.get(), kListening) == 0 ? 0 : 1;
    });
  };
  if (choose_among(ChoosingCall::bind, kTcp4, 11'900, 11'999) == kImpossible) {
    skip("this kernel has no range of ports of a socket's own (IP_LOCAL_PORT_RANGE, Linux 6.3)");
    return;
  }
  for (const auto& kind : kSocketKinds) {
    CAPTURE(kind.family);
    CAPTURE(kind.type);
    for (const auto call : kChoosingCalls) {
      if (!fits(call, kind)) continue;
      CAPTURE(name(call));
      CHECK(choose_among(call, kind, 11'900, 11'999) == 0);
      CHECK(choose_among(call, kind, kFirstRange.from, kFirstRange.to) == 1);
    }
  }
  scene.stop();
}

TEST_CASE("ports.without reservation and guard strangers get a group's ports by each of the calls") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;  // so that what the tests with a guard say of them means something
  scene.network().set_sysctl("net/ipv4/ip_local_port_range", "12000 12119");
  const PortStranger stranger(scene, kOutsider, scene.ports_of(0));
  await([&] {
    return stranger.got_by_number() > 0 &&
           std::ranges::all_of(kChoosingCalls, [&](ChoosingCall call) { return stranger.got_by(call) > 0; });
  });
  CHECK(stranger.complaints().size() > kChoosingCalls.size());
  scene.stop();
}

TEST_CASE("ports.members need no privilege for a low port, and what they bind by themselves is entered") {
  if (skip_without_guard()) return;
  PortScene scene(PortScene::Level::guard);
  PortUser user(scene, kFirstUser);
  CHECK(user.bind_service(scene.first(), "static:low").port == kLowStatic);
  const auto plain = user.bind(12'050, kUdp4);
  REQUIRE(plain.error == 0);
  await([&] {
    const auto facts = port_facts(scene.first(), {.protocol = ports::Protocol::udp, .number = 12'050});
    return facts && facts->pid == static_cast<std::uint32_t>(user.pid()) && (facts->flags & shm::kPortObserved) != 0 &&
           facts->state == shm::PortState::bound;
  });
  PortUser supplementary(scene, kFirstBySupplement);
  CHECK(supplementary.bind(12'051).error == EACCES);
  CHECK(supplementary.bind_service(scene.first(), "dynamic").error == 0);  // attached, it is known to the guard
  CHECK(supplementary.bind(12'051).error == 0);
  PortUser other(scene, kFirstByGid);
  for (int i = 0; i < 50; ++i) {
    CHECK(bind_surely(other, scene.first(), "dynamic", kUdp4) != 12'050);
    CHECK(bind_surely(other, scene.first(), "dynamic", kTcp6) != 12'051);
  }
  scene.stop();
}

TEST_CASE(
    "ports.a server under attack has its port back at each restart, and nobody gets it, whatever else is killed") {
  if (skip_without_guard()) return;
  PortScene scene(PortScene::Level::guard);
  PortUser first(scene, kFirstUser);
  auto dynamic = bind_surely(first, scene.first(), "dynamic:web");
  first.kill();
  const RestlessBinder outsider(scene.rig(), kOutsider, dynamic, EACCES);
  const RestlessBinder of_the_other_group(scene.rig(), kSecondUser, kFirstStatic, EACCES);
  const RestlessBinder root(scene.rig(), kRoot, kFirstStatic, EACCES);
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    PortUser server(scene, kFirstUser);
    for (const auto& [type, port] : {std::pair{"static:first", kFirstStatic}, std::pair{"dynamic:web", dynamic}}) {
      auto answer = server.bind_service(scene.first(), type);
      const bool is_new_tlsmuxd = round == 7 || round == 10;  // which knows no labels, and of sockets what it has seen
      if (is_new_tlsmuxd) {
        await([&] {
          if (answer.error == EADDRINUSE) answer = server.bind_service(scene.first(), type);
          return answer.error == 0;
        });
      }
      REQUIRE(answer.error == 0);
      if (port != dynamic || !is_new_tlsmuxd) CHECK(answer.port == port);
      CHECK(server.listen(answer.port).error == 0);
      scene.network().in_thread([&] { CHECK(connect_to(make_socket().get(), answer.port) == 0); });
      if (port == dynamic) dynamic = answer.port;
    }
    if (round == 3) scene.engine().kill_engine();
    if (round == 6) {
      CHECK(scene.engine().kill_broker() == 0);
      outsider.goes_on();
      scene.start_engine();
    }
    if (round == 9) {
      scene.stop();  // what is in place stays
      outsider.goes_on();
      scene.start_engine();
    }
    server.kill();
  }
  for (const auto* stranger : {&outsider, &of_the_other_group, &root}) {
    stranger->goes_on();
    CHECK(stranger->wrong_ones() == 0);
    CHECK(stranger->wrong_errno() == 0);
  }
  scene.stop();
}

}  // namespace tlsmux::test
