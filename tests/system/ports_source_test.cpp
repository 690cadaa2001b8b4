// The engine's own connections from ports of a group.

#include <fcntl.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/system/await.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/port_user.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint16_t kHostPort = 11'500;

// In the scene, and a child of this thread, with whose end it would end.
std::unique_ptr<host::HostProcess> start_host(const PortScene& scene) {
  const shm::UniqueFd home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  REQUIRE(home);
  scene.network().enter();
  auto host = std::make_unique<host::HostProcess>(
      std::vector<std::string>{"--mode", "echo", "--listen", "127.0.0.1:" + std::to_string(kHostPort)});
  REQUIRE(::setns(home.get(), CLONE_NEWNET) == 0);
  return host;
}

std::set<std::uint16_t> engines_ports(const std::string& group) {
  std::set<std::uint16_t> ports;
  for (const auto& facts : port_facts(group)) {
    if ((facts.flags & shm::kPortEngine) != 0) ports.insert(facts.port.number);
  }
  return ports;
}

}  // namespace

TEST_CASE("ports.an upstream's sessions come from ports of its group, which nobody else gets, also after a restart") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, [](config::Config& config) {
    auto& upstream = config.upstreams[0];
    upstream.endpoints[0].port = kHostPort;
    upstream.sessions = 2;
    upstream.tcp.source_ports = config.groups[0].name;
    upstream.backoff = {.initial_ms = 20, .max_ms = 100, .jitter_percent = 20};
    config.groups[0].ports.dynamic = {{.from = 12'000, .to = 12'019, .protocols = config::PortProtocols::tcp}};
  });
  const auto host = start_host(scene);
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    std::set<std::uint16_t> own;
    await([&] {  // sockets of the engine before may linger
      own = engines_ports(scene.first());
      const auto sockets = scene.sockets(ports::Protocol::tcp, set_of(kFirstRange));
      return sockets.size() == 2 &&
             std::ranges::all_of(sockets, [&](const auto& one) { return own.contains(one.port.number); });
    });
    CHECK(own.size() == 6);  // two for each session that there may be: one more than serve
    PortUser user(scene, kFirstUser);
    std::set<std::uint16_t> rest;
    await([&] {  // those of the engine before may linger
      const auto got = user.bind_service(scene.first(), "dynamic");
      if (got.error == 0) CHECK(rest.insert(got.port).second);
      return rest.size() == 14;
    });
    CHECK(user.bind_service(scene.first(), "dynamic").error == EADDRINUSE);
    for (const auto port : rest) CHECK(!own.contains(port));
    user.kill();
    await([&] { return port_summary(scene.first()).dynamic_free[0] == 14; });
    if (round == 0) scene.engine().kill_engine();
  }
  scene.stop();
  CHECK(host->stop() == 0);
}

}  // namespace tlsmux::test
