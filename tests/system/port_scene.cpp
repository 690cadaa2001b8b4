#include "tests/system/port_scene.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

#include "ports/enforcement/enforcement.hpp"
#include "tests/system/engine_config.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kSweepMs = 15;
constexpr std::uint32_t kReuseDelayMs = 40;

config::GroupSettings group_settings(std::string name, const Identity& user, gid_t unix_group,
                                     const config::DynamicPortSettings& range) {
  config::GroupSettings group;
  group.name = std::move(name);
  group.users = {std::to_string(user.uid)};
  group.unix_groups = {std::to_string(unix_group)};
  group.memory.clients_max = 256;
  group.memory.channels_per_client = 1;
  group.memory.slots_per_channel = 8;
  group.memory.slot_bytes = 2048;
  group.ports.dynamic = {range};
  group.ports.reuse_delay_ms = kReuseDelayMs;
  return group;
}

config::Config make_config(const TemporaryFolder& folder) {
  // Nobody listens at the upstream's port.
  auto config = engine_config(folder, {9});
  config.engine.port_sweep_ms = kSweepMs;
  config.engine.drain_timeout_ms = 100;
  auto& upstream = config.upstreams[0];
  upstream.backoff = {.initial_ms = 10'000, .max_ms = 60'000, .jitter_percent = 20};
  upstream.framing.message_bytes_max = 2048;
  config.groups = {group_settings(unique_group(), kFirstUser, 1702, kFirstRange),
                   group_settings(unique_group(), kSecondUser, 1712, kSecondRange)};
  upstream.groups = {config.groups[0].name};
  config.groups[0].ports.static_ports = {
      {.port = kFirstStatic, .protocol = config::PortProtocols::both, .label = "first", .program = {}},
      {.port = kLowStatic, .protocol = config::PortProtocols::both, .label = "low", .program = {}}};
  config.groups[1].ports.static_ports = {
      {.port = kSecondStatic, .protocol = config::PortProtocols::both, .label = "second", .program = {}}};
  return config;
}

}  // namespace

PortScene::PortScene(Level level, const Change& change) : config(make_config(folder_)) {
  if (level == Level::guard) {
    rig_ = std::make_unique<GuardRig>();
    config.engine.port_guard = {.bpf_directory = rig_->place().bpf_directory, .cgroup = rig_->cgroup()};
    for (auto& group : config.groups) group.ports.enforcement = {.reservation = true, .holders = false, .guard = true};
  } else {
    network_ = std::make_unique<NetworkNamespace>();
  }
  if (change) change(config);
  start_engine();
}

PortScene::~PortScene() {
  engine_.reset();
  network().in_thread([&] { std::ignore = ports::Enforcement(ports::place_of(config.engine)).remove(); });
  if (!rig_) return;
  CHECK(rig_->pins().empty());
  CHECK(GuardRig::attached_programs(rig_->cgroup()) == 0);
  CHECK(network().sysctl("net/ipv4/ip_local_reserved_ports").empty());
}

void PortScene::start_engine() {
  engine_.reset();
  std::filesystem::remove(folder_.path(config.groups[0].name + ".json"));
  engine_ = std::make_unique<EngineProcess>(folder_, config, EngineLaunch{.prepare = [this] {
                                              network().enter();
                                              return true;
                                            }});
}

CommandResult PortScene::refresh() {
  const auto name = config.groups[0].name + ".json";
  std::filesystem::remove(folder_.path(name));
  std::ignore = folder_.add(name, config_text(config), 0644);
  return run_tlsmux("refresh --control-socket " + config.engine.control_socket);
}

void PortScene::enter(const Identity& who) const {
  ::setenv("TLSMUX_CONTROL_SOCKET", config.engine.control_socket.c_str(), 1);
  if (rig_) return rig_->enter(who);
  network_->enter(who);
}

int PortScene::as(const Identity& who, const std::function<int()>& run) const {
  return network().in_process([&] {
    enter(who);
    return run();
  });
}

std::vector<ports::SocketFact> PortScene::sockets(ports::Protocol protocol, const ports::PortSet& ports) const {
  std::vector<ports::SocketFact> facts;
  network().in_thread([&] {
    auto diagnosis = ports::SocketDiagnosis::open();
    REQUIRE(diagnosis);
    auto found = diagnosis->sockets(protocol, ports);
    REQUIRE(found);
    facts = std::move(*found);
  });
  std::erase_if(facts, [](const ports::SocketFact& fact) { return fact.is_time_wait; });
  return facts;
}

std::vector<ports::SocketFact> PortScene::sockets(ports::Port port) const {
  ports::PortSet one;
  one.add(port.number);
  return sockets(port.protocol, one);
}

ports::PortSet PortScene::ports_of(std::size_t group) const {
  const auto& settings = config.groups[group].ports;
  ports::PortSet set;
  for (const auto& range : settings.dynamic) set |= set_of(range);
  for (const auto& one : settings.static_ports) set.add(one.port);
  return set;
}

ports::PortSet set_of(const config::DynamicPortSettings& range) {
  ports::PortSet set;
  set.add(ports::PortRange{range.from, range.to});
  return set;
}

}  // namespace tlsmux::test
