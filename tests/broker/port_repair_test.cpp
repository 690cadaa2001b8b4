// What a broker does about ports when the configuration changes, and by itself.

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "tests/broker/port_desk.hpp"
#include "tests/broker/port_processes.hpp"
#include "tests/ports/guard_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::test;
using engine::broker::BrokerClient;

namespace {

constexpr auto kOn = shm::PortEnforcement::on;
constexpr auto kMissing = shm::PortEnforcement::missing;
constexpr auto kPort = kFirstPortOfDesk;
constexpr const char* kReserved = "net/ipv4/ip_local_reserved_ports";

}  // namespace

TEST_CASE("engine.broker refuses a candidate for which the guard cannot be had, and changes nothing") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  rig.network().in_thread([&] {
    const auto name = unique_group();
    PortDesk desk(group_with_ports(name, {.reservation = true, .holders = false, .guard = false}));
    desk.config.engine.control_socket = desk.folder.path("control.sock");
    desk.config.engine.port_guard.bpf_directory = desk.folder.path();
    engine::broker::PortEnforcement ports(desk.config.engine, ::geteuid(), desk.log);
    ports.apply(desk.config);
    auto wanted = desk.config;
    wanted.groups[0].ports.dynamic.push_back({.from = 13'000, .to = 13'000});
    CHECK(ports.find_errors(wanted, &desk.config).empty());
    wanted.groups[0].ports.enforcement.guard = true;
    const auto errors = ports.find_errors(wanted, &desk.config);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].pointer == "/groups/0/ports/enforcement/guard");
    CHECK_MESSAGE(errors[0].message.find(desk.folder.path()) != std::string::npos, errors[0].message);
    CHECK(rig.network().sysctl(kReserved) == "12000-12009");
    // At the start it is done without, and then the same is no reason any more.
    CHECK(ports.find_errors(wanted, nullptr).empty());
    ports.apply(wanted);
    CHECK(ports.levels_of(wanted.groups[0]).guard.state == kMissing);
    CHECK(ports.find_errors(wanted, &wanted).empty());
    ports.leave();
    CHECK(rig.network().sysctl(kReserved).empty());
  });
}

TEST_CASE("engine.broker puts back what others take away, admitted processes too") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const TemporaryFolder folder("/dev/shm");
  auto group = group_with_ports(unique_group(), {.reservation = true, .holders = false, .guard = true});
  group.unix_groups = {std::to_string(kMemberGroup)};
  const Waiting member(rig, {.uid = 1900, .gid = 1900, .groups = {kMemberGroup}});
  rig.network().in_thread([&] {
    PortDesk desk(std::move(group), engine_of(rig, folder));
    desk.ports.apply(desk.config);
    const auto place = ports::place_of(desk.config.engine);
    CHECK(desk.ports.admit(desk.config.groups[0].name, member.pid()).has_value());
    shm::UniqueFd changes;
    const auto times_told = [&] {
      std::uint64_t count = 0;
      return ::read(changes.get(), &count, sizeof count) == sizeof count ? count : 0;
    };
    desk.serve([&](BrokerClient& client) { changes = client.watch_port_enforcement().value(); });
    desk.ports.repair();
    CHECK(times_told() == 0);
    rig.network().set_sysctl(kReserved, "80");
    desk.ports.repair();
    CHECK(rig.network().sysctl(kReserved) == "80,12000-12009");
    CHECK(times_told() == 1);
    REQUIRE(ports::Guard::remove(place.guard).value());
    CHECK(rig.bind(kStrangerIdentity, kPort) == 0);
    desk.ports.repair();
    CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
    CHECK(times_told() == 1);
    CHECK(desk.ports.dismiss(desk.config.groups[0].name, member.pid()).has_value());
    CHECK(ports::Enforcement(place).remove().has_value());
  });
}

TEST_CASE("engine.broker puts the guard in place when it can be had, and says so") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const TemporaryFolder folder("/dev/shm");
  auto group = group_with_ports(unique_group(), {.reservation = true, .holders = false, .guard = true});
  group.unix_groups = {std::to_string(kMemberGroup)};
  const Waiting member(rig, {.uid = 1900, .gid = 1900, .groups = {kMemberGroup}});
  rig.network().in_thread([&] {
    auto settings = engine_of(rig, folder);
    settings.port_guard.bpf_directory = folder.path("bpf");  // not mounted yet
    PortDesk desk(std::move(group), settings);
    desk.ports.apply(desk.config);
    shm::UniqueFd changes;
    desk.serve([&](BrokerClient& client) { changes = client.watch_port_enforcement().value(); });
    const auto is_told = [&] {
      std::uint64_t count = 0;
      return ::read(changes.get(), &count, sizeof count) == sizeof count;
    };
    const auto& settled = desk.config.groups[0];
    desk.ports.repair();
    CHECK(desk.ports.levels_of(settled).reservation.state == kOn);
    CHECK(desk.ports.levels_of(settled).guard.state == kMissing);
    CHECK_FALSE(is_told());
    std::filesystem::create_directory_symlink(rig.place().bpf_directory, settings.port_guard.bpf_directory);
    desk.ports.repair();
    CHECK_MESSAGE(desk.ports.levels_of(settled).guard.state == kOn, desk.ports.levels_of(settled).guard.text);
    CHECK(is_told());
    CHECK(rig.bind(kStrangerIdentity, kPort) == EACCES);
    CHECK(desk.ports.admit(settled.name, member.pid()).has_value());
    CHECK(ports::Enforcement(ports::place_of(settings)).remove().value().guard);
  });
}

TEST_CASE("engine.broker changes reservation and guard when a candidate is adopted, not before") {
  if (skip_without_guard()) return;
  const GuardRig rig;
  const TemporaryFolder folder("/dev/shm");
  rig.network().in_thread([&] {
    const auto name = unique_group();
    PortDesk desk(group_with_ports(name, {.reservation = true, .holders = false, .guard = true}),
                  engine_of(rig, folder));
    desk.ports.apply(desk.config);
    const auto before = rig.network().sysctl(kReserved);
    CHECK(before == "12000-12009");
    const auto write_config = [&](const std::string& dynamic) {
      std::filesystem::remove(desk.folder.path("config.json"));
      std::ignore = desk.folder.add(
          "config.json",
          R"({"groups": [{"name": ")" + name + R"(", "users": [")" + std::to_string(kMember) +
              R"("], "ports": {"dynamic": [)" + dynamic +
              R"(], "enforcement": {"reservation": true, "guard": true}}}], "upstreams": [{"name": "host", "groups": [")" +
              name + R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}], "tls": {"verify_peer": false}}]})");
    };
    write_config(R"({"from": 12005, "to": 12019})");
    desk.serve([&](BrokerClient& client) {
      const auto loaded = client.load_candidate();
      REQUIRE(loaded);
      CHECK_MESSAGE(!loaded->is_refused, loaded->text);
      CHECK(rig.network().sysctl(kReserved) == before);
      CHECK(rig.bind(kStrangerIdentity, 12'019) == 0);
      CHECK(client.drop_candidate());
      CHECK(rig.network().sysctl(kReserved) == before);
      REQUIRE(client.load_candidate());
      CHECK(client.adopt_candidate());
      CHECK(rig.network().sysctl(kReserved) == "12005-12019");
      CHECK(rig.bind(kStrangerIdentity, 12'019) == EACCES);
      CHECK(rig.bind(kStrangerIdentity, 12'000) == 0);
      CHECK(client.port_enforcement({.index = 0}).value().guard.state == kOn);
    });
    CHECK(ports::Enforcement(ports::place_of(engine_of(rig, folder))).remove().value().guard);
  });
}
