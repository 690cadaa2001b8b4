// What a whole tlsmuxd leaves in place of reservation and guard, however it ends.

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "ports/enforcement/enforcement.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/broker/broker_process.hpp"
#include "tests/ports/guard_rig.hpp"

using namespace tlsmux;
using namespace tlsmux::test;

namespace {

constexpr const char* kSysctl = "net/ipv4/ip_local_reserved_ports";
constexpr std::uint16_t kPort = 12'000;

struct Scene {
  GuardRig rig;
  TemporaryFolder folder{"/dev/shm"};
  config::Config config = broker_config(folder);

  explicit Scene(bool guard) {
    rig.network().set_sysctl(kSysctl, "80");
    config.engine.port_guard = {.bpf_directory = rig.place().bpf_directory, .cgroup = rig.cgroup()};
    auto& group = config.groups[0];
    group.users = {std::to_string(kMember)};
    group.ports.dynamic = {{.from = kPort, .to = kPort + 9}};
    group.ports.enforcement = {.reservation = true, .holders = false, .guard = guard};
  }
  ~Scene() {
    rig.network().in_thread(
        [&] { [[maybe_unused]] const auto removed = ports::Enforcement(ports::place_of(config.engine)).remove(); });
  }

  [[nodiscard]] std::function<bool()> enter() const {
    return [this] {
      rig.network().enter();
      return true;
    };
  }
  [[nodiscard]] std::string list() const { return rig.network().sysctl(kSysctl); }
  [[nodiscard]] int bind_of_stranger() const { return rig.bind(kStrangerIdentity, kPort); }
};

}  // namespace

TEST_CASE("ports.a guard that tlsmuxd puts in place is there before the engine, and stays when tlsmuxd stops") {
  if (skip_without_guard()) return;
  const Scene scene(true);
  {
    BrokerProcess broker(scene.config, serve_until_told, scene.enter());
    CHECK(broker.log().wait_for("event=ports_enforced").find("reservation=on guard=on") != std::string::npos);
    broker.log().wait_for("event=engine_serving");
    CHECK(scene.list() == "80,12000-12009");
    CHECK(scene.bind_of_stranger() == EACCES);
    CHECK(broker.stop() == engine::kExitClean);
  }
  CHECK(scene.list() == "80,12000-12009");
  CHECK(scene.bind_of_stranger() == EACCES);
  BrokerProcess next(scene.config, serve_until_told, scene.enter());
  next.log().wait_for("event=engine_serving");
  CHECK(scene.bind_of_stranger() == EACCES);
  CHECK(next.stop() == engine::kExitClean);
}

TEST_CASE("ports.a reservation goes when tlsmuxd stops, and after SIGKILL with the next") {
  if (skip_without_guard()) return;
  const Scene scene(false);
  {
    BrokerProcess broker(scene.config, serve_until_told, scene.enter());
    const auto engine = broker.engine_pid();
    broker.log().wait_for("event=engine_serving");
    CHECK(scene.list() == "80,12000-12009");
    broker.process().send_signal(SIGKILL);
    CHECK(broker.wait() == 128 + SIGKILL);
    CHECK(wait_for_end(engine));
  }
  CHECK(scene.list() == "80,12000-12009");
  {
    BrokerProcess broker(scene.config, serve_until_told, scene.enter());
    broker.log().wait_for("event=engine_serving");
    CHECK(scene.list() == "80,12000-12009");
    CHECK(broker.stop() == engine::kExitClean);
  }
  CHECK(scene.list() == "80");
  CHECK(std::filesystem::is_empty(scene.folder.path()));
}

TEST_CASE("ports.tlsmuxd starts without the guard that it cannot have, and says once what is missing") {
  if (skip_without_guard()) return;
  Scene scene(true);
  scene.config.engine.port_guard.bpf_directory = scene.folder.path();
  BrokerProcess broker(scene.config, serve_until_told, scene.enter());
  const auto line = broker.log().wait_for("event=ports_guard_missing");
  CHECK_MESSAGE(line.find(scene.folder.path()) != std::string::npos, line);
  broker.log().wait_for("event=engine_serving");
  CHECK(scene.list() == "80,12000-12009");
  CHECK(broker.stop() == engine::kExitClean);
  CHECK(broker.log().rest().find("ports_guard_missing") == std::string::npos);
  CHECK(scene.list() == "80");
}

TEST_CASE("ports.tlsmuxd warns of a stranger who has one of its ports") {
  if (skip_without_guard()) return;
  const Scene scene(false);
  shm::UniqueFd stranger;
  scene.rig.network().in_thread([&] { stranger = listening_socket({}, kPort); });
  BrokerProcess broker(scene.config, serve_until_told, scene.enter());
  const auto line = broker.log().wait_for("event=port_in_use");
  CHECK(value_in(line, "port") == std::to_string(kPort));
  CHECK(value_in(line, "protocol") == "tcp");
  CHECK(value_in(line, "pid") == std::to_string(::getpid()));
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("ports.tlsmuxd does not start with ports that another engine gives out") {
  const TemporaryFolder folder;
  const TemporaryFolder other_folder;
  const auto config = broker_config(folder);
  const auto engine_main = [](const config::Config& present, engine::EngineResources resources) {
    engine::broker::BrokerClient client(resources.broker_socket.get());
    const shm::GroupTables tables{.port_rules = 1};
    const auto object = client.create_group_object({.index = 0}, tables.total_bytes());
    if (!object) return 21;
    const auto memory = shm::Mapping::map(object->writable.get(), tables.total_bytes(), shm::Access::read_write);
    if (!memory) return 22;
    const shm::GroupIdentity identity{
        .group = present.groups[0].name, .boot_id = {1}, .engine_pid = static_cast<std::uint32_t>(::getpid())};
    const auto part = shm::GroupPart::format(memory->bytes(), tables, identity);
    shm::PortConfigurationRow row{};
    row.kind = shm::PortRuleKind::dynamic_range;
    row.from = kPort;
    row.to = kPort + 9;
    row.protocols = shm::kPortTcp;
    shm::write_row(part.port_rules()[0], row);
    if (!client.report_serving()) return 23;
    wait_for_order(resources);
    return engine::kExitClean;
  };
  BrokerProcess broker(config, engine_main);
  const auto server = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");

  auto overlapping = broker_config(other_folder);
  overlapping.groups[0].ports.dynamic = {{.from = kPort + 9, .to = kPort + 20}};
  BrokerProcess refused(overlapping, engine_main);
  const auto line = refused.log().wait_for("event=cannot_start");
  CHECK_MESSAGE(line.find("/groups/0/ports/dynamic/0: 12009/tcp belongs to group") != std::string::npos, line);
  CHECK_MESSAGE(line.find(config.groups[0].name) != std::string::npos, line);
  CHECK_MESSAGE(line.find("pid " + std::to_string(server)) != std::string::npos, line);
  CHECK(refused.wait() == engine::kExitCannotStart);
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("ports.tlsmuxd hands an engine the tables of the one that died, and of a tlsmuxd that was killed") {
  const TemporaryFolder folder;
  const auto config = broker_config(folder);
  // Each engine makes an object of its own size, formats it as far as the broker looks, and counts what it finds.
  const auto engine_main = [](const config::Config& present, engine::EngineResources resources) {
    engine::broker::BrokerClient client(resources.broker_socket.get());
    const auto before = client.open_predecessor({.index = 0});
    if (!before || before->has_value() != (resources.restarts > 0 || present.groups[0].users[0] == "0")) return 20;
    const auto tables = shm::GroupTables{};
    const auto object = client.create_group_object({.index = 0}, tables.total_bytes());
    if (!object) return 21;
    const auto memory = shm::Mapping::map(object->writable.get(), tables.total_bytes(), shm::Access::read_write);
    if (!memory) return 22;
    std::ignore = shm::GroupPart::format(memory->bytes(), tables, {.group = present.groups[0].name});
    if (!client.report_serving()) return 23;
    wait_for_order(resources);
    return engine::kExitClean;
  };
  {
    BrokerProcess broker(config, engine_main);
    const auto first = broker.engine_pid();
    broker.log().wait_for("event=engine_serving");
    REQUIRE(::kill(first, SIGKILL) == 0);
    const auto second = broker.engine_pid();
    broker.log().wait_for("event=engine_restarted");
    broker.process().send_signal(SIGKILL);
    CHECK(broker.wait() == 128 + SIGKILL);
    CHECK(wait_for_end(second));
  }
  auto again = config;
  again.groups[0].users = {"0"};  // tells the engine that there is one before it
  BrokerProcess broker(again, engine_main);
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
  CHECK(residue(config.groups[0].name) == 0);
}
