// Who gets which port of a group, by the interface for applications: real users, sockets and a real engine.

#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/system/await.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/port_user.hpp"

namespace tlsmux::test {
namespace {

using shm::PortState;

bool is_in(const config::DynamicPortSettings& range, std::uint16_t port) {
  return range.from <= port && port <= range.to;
}

// The table names the process and its socket, and the kernel knows that socket and no other.
void check_bound(const PortScene& scene, const std::string& group, const PortUser& user, ports::Port port,
                 std::uint64_t inode) {
  await([&] {
    const auto facts = port_facts(group, port);
    return facts && facts->state == PortState::bound && facts->socket_inode == inode;
  });
  const auto facts = port_facts(group, port);
  REQUIRE(facts);
  CHECK(facts->pid == static_cast<std::uint32_t>(user.pid()));
  CHECK(facts->service == group);
  const auto sockets = scene.sockets(port);
  REQUIRE(sockets.size() == 1);
  CHECK(sockets[0].inode == inode);
  CHECK(sockets[0].uid == facts->uid);
}

}  // namespace

TEST_CASE("ports.members get dynamic and static ports of TCP and UDP, IPv4 and IPv6, and the table says who has them") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  for (const auto& who : {kFirstUser, kFirstByGid, kFirstBySupplement}) {
    CAPTURE(who.uid);
    PortUser user(scene, who);
    std::set<ports::Port> seen;
    for (const auto& kind : kSocketKinds) {
      CAPTURE(kind.family);
      CAPTURE(kind.type);
      const auto dynamic = user.bind_service(scene.first(), "dynamic", kind);
      REQUIRE(dynamic.error == 0);
      CHECK(is_in(kFirstRange, dynamic.port));
      CHECK(seen.insert(port_of(kind, dynamic.port)).second);  // a port is one for both families
      check_bound(scene, scene.first(), user, port_of(kind, dynamic.port), dynamic.socket_inode);
    }
    for (const auto& kind : {kTcp4, kUdp6}) {
      const auto labelled = user.bind_service(scene.first(), "static:first", kind);
      REQUIRE(labelled.error == 0);
      CHECK(labelled.port == kFirstStatic);
      check_bound(scene, scene.first(), user, port_of(kind, kFirstStatic), labelled.socket_inode);
      // The only one that is left.
      const auto next = user.bind_service(scene.first(), "static", kind);
      CHECK(user.find(scene.first(), "first", kind).port == kFirstStatic);
      // Below 1024 the kernel asks for a privilege, unless the guard says otherwise.
      CHECK(next.error == EACCES);
    }
    user.kill();
    await([&] { return port_facts(scene.first()).empty(); });
  }
  scene.stop();
}

TEST_CASE("ports.strangers get nothing: the wrong user, another group's, root, no such service, label or engine") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  for (const auto& who : {kSecondUser, kOutsider, kRoot}) {
    CAPTURE(who.uid);
    PortUser user(scene, who);
    for (const auto& kind : kSocketKinds) {
      for (const auto* type : {"dynamic", "dynamic:web", "static", "static:first"}) {
        CAPTURE(type);
        CHECK(user.bind_service(scene.first(), type, kind).error == EACCES);
      }
    }
    CHECK(user.find(scene.first(), "first").error == EACCES);
  }
  PortUser member(scene, kFirstUser);
  CHECK(member.bind_service("NOBODYS", "dynamic").error == ENOENT);
  CHECK(member.bind_service(scene.first(), "static:second").error == ENOENT);
  CHECK(member.bind_service(scene.first(), "any").error == EINVAL);
  CHECK(member.bind_service("", "dynamic").error == EINVAL);  // nor does the environment name one
  CHECK(port_facts(scene.first()).empty());
  PortUser second(scene, kSecondUser);
  CHECK(is_in(kSecondRange, bind_surely(second, scene.second())));
  scene.stop();
  PortUser late(scene, kFirstUser);
  CHECK(late.bind_service(scene.first(), "dynamic").error == ECONNREFUSED);
}

TEST_CASE("ports.a range that is exhausted refuses, leaves others alone, and serves again when a port is freed") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, [](config::Config& config) {
    config.groups[0].ports.dynamic = {{.from = 12'000, .to = 12'011, .protocols = config::PortProtocols::both}};
  });
  std::vector<std::unique_ptr<PortUser>> users;
  std::set<std::uint16_t> taken;
  for (int i = 0; i < 12; ++i) {
    if (i % 4 == 0) users.push_back(std::make_unique<PortUser>(scene, kFirstUser));
    CHECK(taken.insert(bind_surely(*users.back(), scene.first())).second);
  }
  PortUser late(scene, kFirstByGid);
  CHECK(late.bind_service(scene.first(), "dynamic").error == EADDRINUSE);
  CHECK(late.bind_service(scene.first(), "dynamic:web").error == EADDRINUSE);
  CHECK(late.bind_service(scene.first(), "dynamic", kUdp4).error == 0);  // each protocol has its own
  CHECK(late.bind_service(scene.first(), "static:first").error == 0);
  CHECK(is_in(kSecondRange, bind_surely(*std::make_unique<PortUser>(scene, kSecondUser), scene.second())));
  CHECK(port_summary(scene.first()).dynamic_free[0] == 0);

  users[1]->kill();
  std::uint16_t port = 0;
  await([&] {
    const auto answer = late.bind_service(scene.first(), "dynamic");
    CHECK((answer.error == 0 || answer.error == EADDRINUSE));
    port = answer.port;
    return answer.error == 0;
  });
  CHECK(taken.contains(port));
  const auto closed = *taken.begin();
  CHECK(users[0]->release(scene.first(), closed).error == 0);
  CHECK(users[0]->close(closed).error == 0);
  await([&] { return port_state(scene.first(), {.number = closed}) == PortState::free; });
  scene.stop();
}

TEST_CASE("ports.a process has no more dynamic ports than its quota") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface,
                  [](config::Config& config) { config.groups[0].ports.per_process_max = 3; });
  PortUser user(scene, kFirstUser);
  PortUser other(scene, kFirstUser);
  std::vector<std::uint16_t> ports;
  for (int i = 0; i < 3; ++i) ports.push_back(bind_surely(user, scene.first()));
  CHECK(user.bind_service(scene.first(), "dynamic").error == EADDRINUSE);
  CHECK(user.bind_service(scene.first(), "static:first").error == 0);
  CHECK(other.bind_service(scene.first(), "dynamic").error == 0);
  CHECK(user.release(scene.first(), ports[1]).error == 0);
  CHECK(user.close(ports[1]).error == 0);
  await([&] { return user.bind_service(scene.first(), "dynamic").error == 0; });
  CHECK(user.bind_service(scene.first(), "dynamic").error == EADDRINUSE);
  scene.stop();
}

TEST_CASE("ports.a label comes back to its port at once, over restarts of its owner and of the engine") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, [](config::Config& config) {
    config.groups[0].ports.reuse_delay_ms = 600'000;
    config.groups[0].ports.dynamic = {{.from = 12'000, .to = 12'019, .protocols = config::PortProtocols::tcp}};
  });
  auto owner = std::make_unique<PortUser>(scene, kFirstUser);
  const auto port = bind_surely(*owner, scene.first(), "dynamic:web");
  CHECK(owner->find(scene.first(), "web").port == port);
  const auto once = bind_surely(*owner, scene.first());  // without a label
  for (int round = 0; round < 4; ++round) {
    CAPTURE(round);
    owner->kill();
    if (round == 2) scene.engine().kill_engine();
    PortUser other(scene, kFirstByGid);
    const auto others = bind_surely(other, scene.first());
    CHECK(others != port);
    CHECK(others != once);
    owner = std::make_unique<PortUser>(scene, kFirstUser);
    CHECK(bind_surely(*owner, scene.first(), "dynamic:web") == port);
  }
  CHECK(port_state(scene.first(), {.number = once}) == PortState::quarantine);
  scene.stop();
}

TEST_CASE("ports.a server that leaves connections in TIME_WAIT has its port back at once") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  const PortUser client_place(scene, kOutsider);
  for (const auto* type : {"static:first", "dynamic:web"}) {
    CAPTURE(type);
    std::uint16_t before = 0;
    for (int round = 0; round < 3; ++round) {
      PortUser server(scene, kFirstUser);
      const auto port = bind_surely(server, scene.first(), type);
      CHECK((before == 0 || port == before));
      before = port;
      REQUIRE(server.listen(port).error == 0);
      shm::UniqueFd client;
      scene.network().in_thread([&] { client = connected_socket({}, port); });
      REQUIRE(server.accept(port).error == 0);
      server.kill();  // closes first, so that the connection lingers at its port
      char word = 0;
      CHECK(::recv(client.get(), &word, 1, 0) == 0);
    }
  }
  scene.stop();
}

}  // namespace tlsmux::test
