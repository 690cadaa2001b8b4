// What becomes of ports when their owners, the engine and the configuration change.

#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "shm/port_lease.hpp"
#include "tests/control/control_client.hpp"
#include "tests/system/await.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/port_user.hpp"

namespace tlsmux::test {
namespace {

using shm::PortState;

bool is_owned(const std::string& group, ports::Port port, pid_t pid) {
  const auto facts = port_facts(group, port);
  return facts && facts->state == PortState::bound && facts->pid == static_cast<std::uint32_t>(pid);
}

}  // namespace

TEST_CASE("ports.a child goes on with the port of its dead parent and owns it, and it is free when the child is dead") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  for (const auto& kind : kSocketKinds) {
    CAPTURE(kind.family);
    CAPTURE(kind.type);
    PortUser parent(scene, kFirstUser);
    const auto number = bind_surely(parent, scene.first(), "dynamic", kind);
    if (kind.type == SOCK_STREAM) REQUIRE(parent.listen(number).error == 0);
    const auto port = port_of(kind, number);
    const auto child = parent.bequeath().pid;
    REQUIRE(child > 0);
    parent.kill();
    await([&] { return is_owned(scene.first(), port, child); });
    CHECK(scene.sockets(port).size() == 1);
    PortUser other(scene, kFirstUser);
    for (int i = 0; i < 30; ++i) CHECK(bind_surely(other, scene.first(), "dynamic", kind) != number);
    REQUIRE(::kill(child, SIGKILL) == 0);
    CHECK(reap(child) == 128 + SIGKILL);  // ours since its parent is dead: see Residue
    await([&] { return port_state(scene.first(), port) == PortState::free; });
  }
  scene.stop();
}

TEST_CASE("ports.the next engine knows who has which port, whether the engine was killed or its broker") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  PortUser user(scene, kFirstUser);
  PortUser second(scene, kSecondUser);
  PortUser doomed(scene, kFirstByGid);
  std::set<ports::Port> all;
  for (const auto& kind : kSocketKinds) {
    all.insert(port_of(kind, bind_surely(user, scene.first(), "dynamic", kind)));
    CHECK(!all.contains(port_of(kind, bind_surely(doomed, scene.first(), "dynamic", kind))));
  }
  const ports::Port labelled{.number = bind_surely(user, scene.first(), "dynamic:web")};
  all.insert(labelled);
  CHECK(all.size() == 5);
  const ports::Port of_second{.number = bind_surely(second, scene.second())};
  for (const bool kills_broker : {false, true}) {
    CAPTURE(kills_broker);
    if (kills_broker) {
      CHECK(scene.engine().kill_broker() == 0);
      doomed.kill();  // while there is no engine
      scene.start_engine();
    } else {
      scene.engine().kill_engine();
    }
    // Also those that attach again by themselves.
    std::set<ports::Port> fresh;
    for (int i = 0; i < 20; ++i) {
      const ports::Port port{.number = bind_surely(user, scene.first())};
      CHECK_MESSAGE(!all.contains(port), port.number);
      CHECK(fresh.insert(port).second);
    }
    await([&] { return is_owned(scene.first(), labelled, user.pid()); });
    CHECK(port_facts(scene.first(), labelled)->label == "web");
    for (const auto port : fresh) {
      CHECK(user.release(scene.first(), port.number).error == 0);
      CHECK(user.close(port.number).error == 0);
    }
    CHECK(is_owned(scene.second(), of_second, second.pid()));
  }
  // What had a living owner is all that is left.
  const auto others = [&] {
    auto facts = port_facts(scene.first());
    std::erase_if(facts, [&](const PortFacts& one) {
      const bool is_known = all.contains(one.port) && is_owned(scene.first(), one.port, user.pid());
      return is_known || one.state == PortState::leased;
    });
    return facts;
  };
  std::ignore = eventually([&] { return others().empty(); });
  CHECK(words_of(others()) == "");
  for (const auto port : all) CHECK(is_owned(scene.first(), port, user.pid()));
  scene.stop();
}

TEST_CASE(
    "ports.a refresh takes ports away that are in use: shown as grandfathered, their sockets live, none is given out") {
  if (skip_without_network_namespaces()) return;
  PortScene scene;
  PortUser user(scene, kFirstUser);
  std::vector<std::uint16_t> kept;
  std::vector<std::uint16_t> lost;
  const std::uint16_t middle = 12'050;
  while (kept.size() < 3 || lost.size() < 3) {
    const auto port = bind_surely(user, scene.first());
    REQUIRE(user.listen(port).error == 0);
    (port < middle ? kept : lost).push_back(port);
  }
  scene.config.groups[0].ports.dynamic[0].to = middle - 1;
  const auto refreshed = scene.refresh();
  REQUIRE_MESSAGE(refreshed.exit_code == 0, refreshed.text);
  for (const auto port : lost) {
    CAPTURE(port);
    await([&] {
      const auto facts = port_facts(scene.first(), {.number = port});
      return facts && (facts->flags & shm::kPortGrandfathered) != 0 && facts->state == PortState::bound;
    });
    scene.network().in_thread([&] { CHECK(connect_to(make_socket().get(), port) == 0); });
  }
  for (const auto port : kept) {
    const auto facts = port_facts(scene.first(), {.number = port});
    REQUIRE(facts);
    CHECK((facts->flags & shm::kPortGrandfathered) == 0);
  }
  CHECK(port_summary(scene.first()).dynamic_ports[0] == 50);
  PortUser other(scene, kFirstByGid);
  for (auto got = other.bind_service(scene.first(), "dynamic"); got.error != EADDRINUSE;
       got = other.bind_service(scene.first(), "dynamic")) {
    REQUIRE(got.error == 0);
    CHECK(got.port < middle);
  }
  for (const auto port : lost) CHECK(user.close(port).error == 0);
  for (const auto port : lost) {
    await([&] { return port_state(scene.first(), {.number = port}) == PortState::free; });
  }
  scene.stop();
}

TEST_CASE(
    "ports.a client that writes into the words of its leases is detached, and others of its group and another go on") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, [](config::Config& config) {
    config.groups[0].users.push_back("0");  // the test itself is the hostile one
  });
  PortUser neighbour(scene, kFirstUser);
  PortUser stranger(scene, kSecondUser);
  const auto held = bind_surely(neighbour, scene.first());
  const auto scribbles = std::vector<std::function<void(std::atomic<std::uint64_t>&)>>{
      [](auto& word) { word = ~0ULL; },
      [](auto& word) { word = word + 0x100; },  // the next port, with the same offer's number
      [](auto& word) { word = shm::pack({.generation = 77, .port = 443, .state = shm::LeaseState::offered}); },
      [held](auto& word) { word = shm::pack({.generation = 1, .port = held, .state = shm::LeaseState::taken}); },
      [](auto& word) { word = 0; },
  };
  for (std::size_t i = 0; i < scribbles.size(); ++i) {
    CAPTURE(i);
    ControlClient hostile(scene.config.engine.control_socket);
    const auto attached = hostile.attach(scene.first());
    REQUIRE(attached);
    shm::ClaimPortRequest request;
    request.kind = shm::PortClaimKind::dynamic;
    request.protocol = shm::kPortTcp;
    request.leases = 1;
    REQUIRE(hostile.send(request));
    REQUIRE(hostile.receive_as<shm::ClaimPortReply>());
    auto* const memory = attached->segment.client().data();
    auto& words =
        *reinterpret_cast<shm::PortLeases*>(memory + reinterpret_cast<const shm::ClientHeader*>(memory)->leases_offset);
    REQUIRE(shm::unpack_lease(words.tcp[0]).state == shm::LeaseState::offered);
    scribbles[i](words.tcp[0]);
    REQUIRE(hostile.send(shm::RefillPortsRequest{}));
    CHECK(hostile.receive_error() == EPROTO);
    const auto line = scene.engine().log().wait_for("event=client_detached", i + 1);
    CHECK_MESSAGE(line.find("the words of its port leases") != std::string::npos, line);
    CHECK(bind_surely(neighbour, scene.first()) != held);
    CHECK(bind_surely(stranger, scene.second()) >= kSecondRange.from);
  }
  await([&] { return is_owned(scene.first(), {.number = held}, neighbour.pid()); });  // by the first sweep since
  // What the hostile ones had is free again.
  await([&] {
    const auto facts = port_facts(scene.first());
    return std::ranges::none_of(facts,
                                [](const auto& one) { return one.pid == static_cast<std::uint32_t>(::getpid()); });
  });
  scene.stop();
}

}  // namespace tlsmux::test
