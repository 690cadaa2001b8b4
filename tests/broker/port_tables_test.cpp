// What becomes of the groups' tables of ports when a whole tlsmuxd stops.

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "engine/broker/port_table_store.hpp"
#include "engine/group_memory.hpp"
#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/broker/broker_process.hpp"

using namespace tlsmux;
using engine::broker::BrokerClient;

namespace {

constexpr int kUnexpected = 20;

// An engine that finds so many ports in what was left to it, and leaves so many in its own table.
engine::EngineMain engine_with_ports(std::size_t found, std::uint32_t ports) {
  return [found, ports](const config::Config& config, engine::EngineResources resources) {
    BrokerClient broker(resources.broker_socket.get());
    const auto& group = config.groups[0].name;
    const auto before = engine::read_dead_engines_ports(broker, group, {.index = 0}, 0);
    if (!before || before->size() != found || !broker.open_listener()) return kUnexpected;
    const shm::GroupTables tables{.clients = 2, .ports = ports};
    const auto object = broker.create_group_object({.index = 0}, tables.total_bytes());
    if (!object) return kUnexpected + 1;
    const auto memory = shm::Mapping::map(object->writable.get(), tables.total_bytes(), shm::Access::read_write);
    if (!memory) return kUnexpected + 2;
    const auto part = shm::GroupPart::format(memory->bytes(), tables, {.group = group});
    for (std::uint32_t i = 0; i < ports; ++i) {
      shm::PortRow row{};
      row.state = shm::PortState::claimed;
      row.port = static_cast<std::uint16_t>(1000 + i);
      row.protocol = shm::kPortTcp;
      shm::write_row(part.ports()[i], row);
    }
    if (!broker.report_serving()) return kUnexpected + 3;
    test::wait_for_order(resources);
    // As a real engine does it.
    return broker.remove_group_objects() ? engine::kExitClean : kUnexpected + 4;
  };
}

struct Tables {
  test::TemporaryFolder folder;
  config::Config config = test::broker_config(folder);

  void run(std::size_t found, std::uint32_t ports) {
    test::BrokerProcess broker(config, engine_with_ports(found, ports));
    broker.log().wait_for("event=engine_serving");
    CHECK(broker.stop() == engine::kExitClean);
    CHECK(test::residue(config.groups[0].name) == 0);
  }
  [[nodiscard]] bool is_kept(const std::string& group) const {
    engine::Log log(config::LogLevel::error, shm::UniqueFd(::dup(STDERR_FILENO)), engine::Log::Mode::synchronous);
    return std::filesystem::exists(
        engine::broker::PortTableStore(folder.path(), config.engine.control_socket, log).path_of(group));
  }
};

}  // namespace

TEST_CASE("engine.broker that is stopped leaves the tables of ports to the next one, in a file") {
  Tables tables;
  const auto group = tables.config.groups[0].name;
  tables.run(0, 3);
  CHECK(tables.is_kept(group));
  tables.run(3, 5);
  tables.run(5, 0);
  CHECK(!tables.is_kept(group));
  tables.run(0, 2);
  // Another engine, which another control socket names, knows nothing of it.
  auto other = tables.config;
  other.engine.control_socket += "2";
  {
    test::BrokerProcess broker(other, engine_with_ports(0, 0));
    broker.log().wait_for("event=engine_serving");
    CHECK(broker.stop() == engine::kExitClean);
  }
  CHECK(tables.is_kept(group));
  // The group is not configured any more.
  tables.config.groups[0].name = test::unique_group();
  tables.run(0, 0);
  CHECK(!tables.is_kept(group));
}

TEST_CASE("engine.broker keeps the tables of an engine that had to be killed, and those of none that never served") {
  Tables tables;
  const auto group = tables.config.groups[0].name;
  const auto deaf = [](const config::Config& config, engine::EngineResources resources) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    // Told to end, it goes on.
    const auto end = engine_with_ports(0, 4)(config, std::move(resources));
    while (end == kUnexpected + 4 || end == engine::kExitClean) ::raise(SIGSTOP);
    return end;
  };
  {
    test::BrokerProcess broker(tables.config, deaf);
    broker.log().wait_for("event=engine_serving");
    CHECK(broker.stop() == engine::kExitKilled);
    CHECK(test::residue(group) == 0);
  }
  {
    test::BrokerProcess broker(
        tables.config, [](const config::Config&, const engine::EngineResources&) { return engine::kExitCannotStart; });
    CHECK(broker.wait() == engine::kExitCannotStart);
  }
  tables.run(4, 0);
}

TEST_CASE("engine.broker that was killed with its engine has left more than any file tells") {
  Tables tables;
  tables.run(0, 3);
  {
    test::BrokerProcess broker(tables.config, engine_with_ports(3, 7));
    const auto engine = broker.engine_pid();
    broker.log().wait_for("event=engine_serving");
    REQUIRE(::kill(engine, SIGSTOP) == 0);
    broker.process().send_signal(SIGKILL);
    CHECK(broker.wait() == 128 + SIGKILL);
    REQUIRE(::kill(engine, SIGKILL) == 0);
    CHECK(test::wait_for_end(engine));
  }
  tables.run(7, 0);
}
