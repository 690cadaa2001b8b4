// What an engine may ask of its broker about ports, through both ends of their socket.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "tests/broker/port_desk.hpp"
#include "tests/broker/port_processes.hpp"
#include "tests/ports/binder.hpp"
#include "tests/ports/guard_rig.hpp"
#include "tests/ports/sockets.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
using engine::broker::BrokerClient;
using engine::broker::Operation;
using engine::broker::Request;

namespace {

constexpr auto kOff = shm::PortEnforcement::off;
constexpr auto kOn = shm::PortEnforcement::on;
constexpr auto kMissing = shm::PortEnforcement::missing;
constexpr auto kPort = kFirstPortOfDesk;

}  // namespace

TEST_CASE("hostile.broker requests about ports that make no sense are refused and counted") {
  PortDesk desk(group_with_ports(unique_group(), {}));
  const auto refused = [&](const Request& request) { return desk.error_of(request) == EPROTO; };
  CHECK(refused({.operation = Operation::find_socket_owners}));
  CHECK(refused({.operation = Operation::find_socket_owners, .sockets = {0, 1}}));
  CHECK(refused({.operation = Operation::find_socket_owners, .sockets = {1, 0, 1}}));
  CHECK(refused({.operation = Operation::find_socket_owners, .index = 1, .sockets = {1}}));
  CHECK(refused({.operation = Operation::find_socket_owners, .pid = 1, .sockets = {1}}));
  for (const auto operation : {Operation::open_predecessor, Operation::port_enforcement}) {
    CHECK(refused({.operation = operation, .index = 1}));
    CHECK(refused({.operation = operation, .index = ~0U}));
    CHECK(refused({.operation = operation, .candidate = 1}));  // there is none
    CHECK(refused({.operation = operation, .candidate = 2}));
    CHECK(refused({.operation = operation, .pid = 1}));
    CHECK(refused({.operation = operation, .sockets = {1}}));
  }
  for (const auto operation : {Operation::admit_to_guard, Operation::dismiss_from_guard}) {
    CHECK(refused({.operation = operation}));
    CHECK(refused({.operation = operation, .pid = 1U << 31}));
    CHECK(refused({.operation = operation, .pid = ~0U}));
    CHECK(refused({.operation = operation, .index = 1, .pid = 1}));
    CHECK(refused({.operation = operation, .candidate = 1, .pid = 1}));
    CHECK(refused({.operation = operation, .pid = 1, .sockets = {1}}));
  }
  CHECK(refused({.operation = Operation::open_guard_events, .index = 1}));
  CHECK(refused({.operation = Operation::open_guard_events, .pid = 1}));
  CHECK(refused({.operation = Operation::open_guard_events, .sockets = {0, 0, 0, 0, 0, 0, 0, 1}}));
  CHECK(refused({.operation = Operation::watch_port_enforcement, .index = 1}));
  CHECK(refused({.operation = Operation::watch_port_enforcement, .pid = 1}));
  CHECK(refused({.operation = Operation::report_serving, .pid = 1}));
  CHECK(refused({.operation = Operation::report_serving, .sockets = {1}}));
  CHECK(desk.requests.malformed() == 36);
}

TEST_CASE("hostile.broker answers whatever is asked about ports, and goes on") {
  PortDesk desk(group_with_ports(unique_group(), {}));
  desk.ports.apply(desk.config);
  std::mt19937_64 random(seed());
  const auto any_of = [&](std::initializer_list<std::uint64_t> values) {
    return *(values.begin() + std::uniform_int_distribution<std::size_t>(0, values.size() - 1)(random));
  };
  const auto small = [&] { return static_cast<std::uint32_t>(any_of({0, 0, 0, 1, 2, ~0ULL, random()})); };
  std::uint32_t answered = 0;
  for (int i = 0; i < 3000; ++i) {
    Request request{.operation = Operation(any_of({10, 11, 12, 13, 14, 15, 16, 17}))};
    request.index = small();
    request.candidate = small();
    request.pid = static_cast<std::uint32_t>(any_of({0, 1, std::uint64_t(::getpid()), 1U << 30, ~0ULL, random()}));
    const auto count = any_of({0, 0, 1, 8});
    for (std::size_t at = 0; at < count; ++at) request.sockets[at] = any_of({0, 1, 2, ~0ULL, random()});
    if (any_of({0, 0, 0, 1}) != 0) request.reserved = small();
    const auto before = desk.requests.malformed();
    const auto error = desk.error_of(request);
    INFO("TLSMUX_SEED=", seed(), " i=", i);
    CHECK((error == EPROTO) == (desk.requests.malformed() == before + 1));
    if (error == 0) ++answered;
  }
  CHECK(answered > 0);
  CHECK(desk.error_of({.operation = Operation::port_enforcement}) == 0);
}

TEST_CASE("hostile.broker names the holders of sockets on the configured ports and of no others") {
  if (skip_without_network_namespaces()) return;
  const GuardRig rig;
  rig.network().in_thread([&] {
    PortDesk desk(group_with_ports(unique_group(), {}));
    desk.ports.apply(desk.config);
    const auto on_port = listening_socket({}, kPort);
    const auto datagrams = bound_socket({.family = AF_INET6, .type = SOCK_DGRAM}, kPort + 9);
    const auto beside = listening_socket({}, kPort + 10);
    const std::vector<std::uint64_t> asked = {socket_inode(beside.get()), socket_inode(on_port.get()), 1,
                                              socket_inode(datagrams.get())};
    std::vector<std::uint64_t> many(20, socket_inode(beside.get()));
    many.push_back(asked[1]);
    desk.serve([&](BrokerClient& client) {
      const auto owners = client.find_socket_owners(asked);
      REQUIRE(owners);
      REQUIRE(owners->size() == 2);
      for (const auto& owner : *owners) {
        CHECK((owner.socket_inode == asked[1] || owner.socket_inode == asked[3]));
        CHECK(owner.pid == static_cast<std::uint32_t>(::getpid()));
        CHECK(owner.uid == ::getuid());
        CHECK(!owner.program.empty());
      }
      CHECK(client.find_socket_owners(many).value().size() == 1);
      CHECK(client.find_socket_owners({}).value().empty());
    });
    // A port that a refresh took from the groups may still have its socket.
    desk.config.groups[0].ports.dynamic = {{.from = kPort + 20, .to = kPort + 20}};
    desk.ports.apply(desk.config);
    desk.serve([&](BrokerClient& client) { CHECK(client.find_socket_owners(asked).value().size() == 2); });
  });
}

TEST_CASE("engine.broker says how ports are kept from others") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const TemporaryFolder folder("/dev/shm");
  rig.network().in_thread([&] {
    auto stranger = listening_socket({}, kPort);
    PortDesk desk(group_with_ports(unique_group(), {.reservation = true, .holders = true, .guard = false}),
                  engine_of(rig, folder));
    desk.ports.apply(desk.config);
    desk.serve([&](BrokerClient& client) {
      const auto levels = client.port_enforcement({.index = 0});
      REQUIRE_MESSAGE(levels.has_value(), levels.error().message);
      CHECK(levels->reservation.state == kOn);
      CHECK(levels->guard.state == kOff);
      CHECK(levels->holders.state == kMissing);
      CHECK_MESSAGE(levels->holders.text.starts_with("1 of 10 ports cannot be held: 12000: Address already in use"),
                    levels->holders.text);
      CHECK(levels->holder_sockets.size() >= 18);
      CHECK(client.open_guard_events().value().empty());
      CHECK(client.admit_to_guard({.index = 0}, 1).error().code == ENOENT);
    });
    CHECK(rig.bind({.uid = 0}, kPort + 1) == EADDRINUSE);
    CHECK(rig.bind(kMemberIdentity, kPort + 1, {.shares_port = true}) == 0);

    const auto group = desk.config.groups[0];
    desk.ports.repair();
    CHECK(desk.ports.levels_of(group).holders.state == kMissing);
    stranger.reset();
    desk.ports.repair();
    CHECK(desk.ports.levels_of(group).holders.state == kOn);
    CHECK(rig.bind({.uid = 0}, kPort) == EADDRINUSE);

    desk.config.groups[0].ports.enforcement = {.reservation = true, .holders = false, .guard = true};
    desk.ports.apply(desk.config);
    desk.serve([&](BrokerClient& client) {
      const auto levels = client.port_enforcement({.index = 0});
      REQUIRE(levels);
      CHECK_MESSAGE(levels->guard.state == kOn, levels->guard.text);
      CHECK(levels->holders.state == kOff);
      CHECK(levels->holder_sockets.empty());
      auto descriptors = client.open_guard_events();
      REQUIRE(descriptors);
      auto events = ports::GuardEvents::open(std::move(*descriptors));
      REQUIRE_MESSAGE(events.has_value(), events.error());
      CHECK(rig.bind(kStrangerIdentity, kPort + 1) == EACCES);
      CHECK(rig.bind(kMemberIdentity, kPort + 1) == 0);
      bool denied = false;
      for (const auto& event : events->take()) denied = denied || (event.is_denied && event.uid == kStranger);
      CHECK(denied);
    });
    CHECK(ports::Enforcement(ports::place_of(desk.config.engine)).remove().value().guard);
  });
}

TEST_CASE("hostile.broker lets members past the guard only, and only while they live") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const TemporaryFolder folder("/dev/shm");
  auto group = group_with_ports(unique_group(), {.reservation = true, .holders = false, .guard = true});
  group.unix_groups = {std::to_string(kMemberGroup)};
  group.memory.clients_max = 2;
  const Identity supplementary{.uid = 1900, .gid = 1900, .groups = {kMemberGroup}};
  rig.network().in_thread([&] {
    PortDesk desk(std::move(group), engine_of(rig, folder));
    desk.ports.apply(desk.config);
    CHECK(rig.bind(supplementary, kPort) == EACCES);
    const auto error_of = [](const auto& done) { return done ? 0 : done.error().code; };
    const auto is_readable = [&] {
      pollfd wanted{.fd = desk.ports.deaths(), .events = POLLIN, .revents = 0};
      return ::poll(&wanted, 1, 20'000) == 1;
    };

    Binder member(rig, supplementary);
    const auto pid = static_cast<std::uint32_t>(member.pid());
    const Waiting stranger(rig, kStrangerIdentity);
    Waiting second(rig, supplementary);
    Waiting third(rig, supplementary);
    CHECK(member.bind(kPort) == EACCES);
    desk.serve([&](BrokerClient& client) {
      CHECK(error_of(client.admit_to_guard({.index = 0}, stranger.pid())) == EACCES);
      CHECK(error_of(client.admit_to_guard({.index = 0}, pid)) == 0);
      CHECK(error_of(client.admit_to_guard({.index = 0}, pid)) == 0);
      CHECK(member.bind(kPort) == 0);
      CHECK(error_of(client.admit_to_guard({.index = 0}, second.pid())) == 0);
      CHECK(error_of(client.admit_to_guard({.index = 0}, third.pid())) == EAGAIN);
      second.kill();
      CHECK(error_of(client.admit_to_guard({.index = 0}, third.pid())) == 0);
      CHECK(error_of(client.dismiss_from_guard({.index = 0}, third.pid())) == 0);
      CHECK(error_of(client.dismiss_from_guard({.index = 0}, third.pid())) == 0);
      CHECK(error_of(client.admit_to_guard({.index = 0}, third.pid())) == 0);
      const auto dead = third.pid();
      third.kill();
      CHECK(is_readable());
      CHECK(error_of(client.admit_to_guard({.index = 0}, dead)) == ESRCH);
      CHECK(member.bind(kPort) == 0);
    });
    desk.ports.on_deaths();
    pollfd quiet{.fd = desk.ports.deaths(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&quiet, 1, 0) == 0);
    // Also by another guard: of the same configuration taken up again, or of a repair.
    const auto place = ports::place_of(desk.config.engine).guard;
    REQUIRE(ports::Guard::remove(place).value());
    desk.ports.apply(desk.config);
    CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
    CHECK(member.bind(kPort) == 0);
    REQUIRE(ports::Guard::remove(place).value());
    desk.ports.repair();
    CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
    CHECK(member.bind(kPort) == 0);
    // It is no member by the next configuration.
    desk.config.groups[0].unix_groups = {};
    desk.ports.apply(desk.config);
    CHECK(member.bind(kPort) == EACCES);
    CHECK(ports::Enforcement(ports::place_of(desk.config.engine)).remove().has_value());
  });
}
