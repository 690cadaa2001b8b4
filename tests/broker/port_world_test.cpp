// The engine's world for its desk for ports, with a broker that puts back a guard which somebody has taken away.

#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "engine/ports/system_port_world.hpp"
#include "shm/system/pidfd.hpp"
#include "tests/broker/port_desk.hpp"
#include "tests/broker/process.hpp"
#include "tests/ports/guard_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
using engine::SystemPortWorld;
using engine::broker::BrokerClient;

namespace {

constexpr auto kPort = kFirstPortOfDesk;

bool is_readable(int descriptor, int timeout_ms) {
  pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, timeout_ms) == 1;
}

bool tells_of_denial(SystemPortWorld& world) {
  return std::ranges::any_of(world.take_guard_news().events, &ports::GuardEvent::is_denied);
}

}  // namespace

TEST_CASE("ports.world tells that the guard is another one, and reads that one's events") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const TemporaryFolder folder("/dev/shm");
  rig.network().in_thread([&] {
    config::EngineSettings engine;
    engine.control_socket = folder.path("control.sock");
    engine.port_guard = {.bpf_directory = rig.place().bpf_directory, .cgroup = rig.cgroup()};
    PortDesk desk(group_with_ports(unique_group(), {.reservation = true, .holders = false, .guard = true}), engine);
    desk.ports.apply(desk.config);
    desk.serve([&](BrokerClient& client) {
      auto world = SystemPortWorld::open(client, [](std::uint32_t group) {
        return engine::broker::ConfigPlace{.index = group, .in_candidate = false};
      });
      REQUIRE(world);
      REQUIRE(world->open_guard_events());
      CHECK_FALSE(is_readable(world->descriptor(), 0));
      CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
      CHECK(is_readable(world->descriptor(), 20'000));
      CHECK(tells_of_denial(*world));
      CHECK_FALSE(world->take_enforcement_change());

      REQUIRE(ports::Guard::remove(ports::place_of(desk.config.engine).guard).value());
      desk.ports.repair();  // nobody asks for anything meanwhile
      CHECK(is_readable(world->descriptor(), 20'000));
      CHECK(world->take_ended().empty());
      CHECK(world->take_enforcement_change());
      CHECK_FALSE(world->take_enforcement_change());
      REQUIRE(world->open_guard_events());
      CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
      CHECK(is_readable(world->descriptor(), 20'000));
      CHECK(tells_of_denial(*world));
    });
    CHECK(ports::Enforcement(ports::place_of(desk.config.engine)).remove().has_value());
  });
}

TEST_CASE("ports.world takes a process for dead when its number is a thread's") {
  PortDesk desk(group_with_ports(unique_group(), {}));
  desk.serve([&](BrokerClient& client) {
    auto world = SystemPortWorld::open(client, [](std::uint32_t) { return engine::broker::ConfigPlace{}; });
    REQUIRE(world);
    std::atomic<pid_t> number = 0;
    std::atomic<bool> is_over = false;
    const std::jthread thread([&] {
      number = ::gettid();
      number.notify_one();
      is_over.wait(false);
    });
    number.wait(0);
    ports::PortOwner owner{.pid = static_cast<std::uint32_t>(number.load()), .program = ""};
    CHECK_FALSE(world->is_alive(owner));
    is_over = true;
    is_over.notify_one();
    const auto own = shm::open_pidfd(::getpid());
    owner.pid = static_cast<std::uint32_t>(::getpid());
    owner.pidfd_inode = shm::pidfd_inode(own.get());
    CHECK(world->is_alive(owner));
    owner.pidfd_inode += owner.pidfd_inode == 0 ? 0 : 1;
    CHECK(world->is_alive(owner) == (owner.pidfd_inode == 0));
  });
}
