// What the next tlsmuxd knows of ports when one was stopped, while applications live on with their sockets.

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "engine/broker/port_table_store.hpp"
#include "tests/system/await.hpp"
#include "tests/system/port_scene.hpp"
#include "tests/system/port_status.hpp"
#include "tests/system/port_user.hpp"

namespace tlsmux::test {
namespace {

using shm::PortState;

constexpr std::uint32_t kAnHourMs = 60U * 60 * 1000;
constexpr std::uint16_t kPorts = 12;  // of the first group, dynamic ones of each protocol

void small_range(config::Config& config) {
  auto& ports = config.groups[0].ports;
  ports.dynamic[0].to = static_cast<std::uint16_t>(ports.dynamic[0].from + kPorts - 1);
  ports.leases_per_process = 0;
}

// What is given back waits for longer than any test.
void long_delay(config::Config& config) {
  small_range(config);
  config.groups[0].ports.reuse_delay_ms = kAnHourMs;
}

// SIGTERM to tlsmuxd, and another one.
void restart(PortScene& scene, const std::function<void()>& between = [] {}) {
  scene.stop();
  CHECK(group_objects().empty());
  between();
  scene.start_engine();
}

std::optional<PortFacts> facts_of(const PortScene& scene, std::uint16_t number) {
  return port_facts(scene.first(), {.number = number});
}

bool is_in_quarantine(const PortScene& scene, std::uint16_t number) {
  return port_state(scene.first(), {.number = number}) == PortState::quarantine;
}

// All TCP ports that a member can have now. It is dead afterwards.
std::set<std::uint16_t> take_all(PortScene& scene) {
  PortUser greedy(scene, kFirstByGid);
  std::set<std::uint16_t> taken;
  while (true) {
    const auto answer = greedy.bind_service(scene.first(), "dynamic");
    if (answer.error == EADDRINUSE) return taken;
    REQUIRE(answer.error == 0);
    CHECK(taken.insert(answer.port).second);
  }
}

std::string path_of_kept(const PortScene& scene) {
  engine::Log log(config::LogLevel::error, shm::UniqueFd(::dup(STDERR_FILENO)), engine::Log::Mode::synchronous);
  return engine::broker::PortTableStore(scene.folder(), scene.config.engine.control_socket, log).path_of(scene.first());
}

}  // namespace

TEST_CASE("ports.a tlsmuxd that is stopped and started again knows who has which port, and what nobody may have yet") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, long_delay);
  PortUser server(scene, kFirstUser);
  PortUser other(scene, kFirstBySupplement);
  const auto web = bind_surely(server, scene.first(), "dynamic:web");
  REQUIRE(server.listen(web).error == 0);
  const auto plain = bind_surely(other, scene.first());
  const auto udp = bind_surely(other, scene.first(), "dynamic", kUdp4);
  auto leaver = std::make_unique<PortUser>(scene, kFirstUser);
  const auto left = bind_surely(*leaver, scene.first(), "dynamic:db");
  REQUIRE(leaver->listen(left).error == 0);
  const auto given_back = bind_surely(*leaver, scene.first());
  CHECK(leaver->release(scene.first(), given_back).error == 0);
  CHECK(leaver->close(given_back).error == 0);
  leaver->kill();
  await([&] { return is_in_quarantine(scene, left) && is_in_quarantine(scene, given_back); });
  await([&] {
    return facts_of(scene, web)->state == PortState::bound && facts_of(scene, plain)->state == PortState::bound &&
           port_state(scene.first(), {.protocol = ports::Protocol::udp, .number = udp}) == PortState::bound;
  });
  const auto before = port_facts(scene.first());

  restart(scene);
  CHECK(scene.engine().log().count("event=ports_adopted group=" + scene.first() + " ports=5") == 1);
  const auto same = [&] {
    const auto after = port_facts(scene.first());
    REQUIRE_MESSAGE(after.size() == before.size(), words_of(after));
    for (std::size_t i = 0; i < after.size(); ++i) {
      CAPTURE(after[i].port.number);
      CHECK(after[i].port == before[i].port);
      CHECK(after[i].state == before[i].state);
      CHECK(after[i].pid == before[i].pid);
      CHECK(after[i].uid == before[i].uid);
      CHECK(after[i].program == before[i].program);
      CHECK(after[i].label == before[i].label);
      CHECK(after[i].socket_inode == before[i].socket_inode);
    }
  };
  same();
  // Twice: what was taken over is kept as well.
  restart(scene);
  same();

  // The application of a label has its port back at once; what was given back nobody gets.
  PortUser again(scene, kFirstUser);
  CHECK(again.bind_service(scene.first(), "dynamic:db").port == left);
  const auto taken = take_all(scene);
  CHECK(taken.size() == kPorts - 4);
  for (const auto port : {web, plain, left, given_back}) CHECK_MESSAGE(!taken.contains(port), port);
  CHECK(is_in_quarantine(scene, given_back));
  server.kill();
  PortUser next(scene, kFirstUser);
  CHECK(next.bind_service(scene.first(), "dynamic:web").port == web);
  scene.stop();
}

TEST_CASE("ports.who has ended while no tlsmuxd ran has no port, and a label that nobody used has its port") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, small_range);
  PortUser parent(scene, kFirstUser);
  const auto inherited = bind_surely(parent, scene.first(), "dynamic:heir");
  REQUIRE(parent.listen(inherited).error == 0);
  PortUser doomed(scene, kFirstUser);
  const auto lost = bind_surely(doomed, scene.first(), "dynamic:lost");
  PortUser early(scene, kFirstUser);
  const auto free = bind_surely(early, scene.first(), "dynamic:free");
  early.kill();
  await([&] { return port_state(scene.first(), {.number = free}) == PortState::free; });
  await([&] { return facts_of(scene, inherited)->state == PortState::bound; });

  // In the last moment, and by one who lives on.
  PortUser giver(scene, kFirstUser);
  std::set<std::uint16_t> given_back;
  while (given_back.size() < 3) given_back.insert(bind_surely(giver, scene.first()));
  for (const auto port : given_back) CHECK(giver.release(scene.first(), port).error == 0);
  for (const auto port : given_back) CHECK(giver.close(port).error == 0);

  pid_t child = 0;
  restart(scene, [&] {
    child = parent.bequeath().pid;
    parent.kill();
    doomed.kill();
  });
  await([&] {
    const auto facts = facts_of(scene, inherited);
    return facts && facts->state == PortState::bound && facts->pid == static_cast<std::uint32_t>(child);
  });
  await([&] { return port_state(scene.first(), {.number = lost}) == PortState::free; });
  for (const auto port : given_back) {
    await([&] { return port_state(scene.first(), {.number = port}) == PortState::free; });
  }
  restart(scene);
  // What labels remember is given to others last.
  PortUser many(scene, kFirstByGid);
  for (int i = 0; i < kPorts - 3; ++i) {
    const auto port = bind_surely(many, scene.first());
    CHECK(port != free);
    CHECK(port != lost);
  }
  PortUser again(scene, kFirstUser);
  CHECK(again.bind_service(scene.first(), "dynamic:free").port == free);
  CHECK(again.bind_service(scene.first(), "dynamic:lost").port == lost);
  CHECK(facts_of(scene, inherited)->label == "heir");
  REQUIRE(::kill(child, SIGKILL) == 0);
  CHECK(reap(child) == 128 + SIGKILL);
  scene.stop();
}

TEST_CASE("ports.after the machine was started again labels have their ports, and nothing else is remembered") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, long_delay);
  PortUser server(scene, kFirstUser);
  static_cast<void>(bind_surely(server, scene.first()));  // so that it is not the first one
  const auto web = bind_surely(server, scene.first(), "dynamic:web");
  const auto given_back = bind_surely(server, scene.first());
  CHECK(server.release(scene.first(), given_back).error == 0);
  CHECK(server.close(given_back).error == 0);
  await([&] { return is_in_quarantine(scene, given_back); });
  restart(scene, [&] {
    server.kill();
    const auto path = path_of_kept(scene);
    std::ifstream file(path);
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto boot = text.find("boot ") + 5;
    text[boot] = text[boot] == '0' ? '1' : '0';
    std::ofstream(path) << text;
  });
  CHECK(words_of(port_facts(scene.first())) == "");
  CHECK(port_summary(scene.first()).dynamic_free[0] == kPorts);
  PortUser again(scene, kFirstUser);
  CHECK(again.bind_service(scene.first(), "dynamic:web").port == web);
  CHECK(take_all(scene).contains(given_back));
  scene.stop();
}

TEST_CASE("ports.a damaged file of tables is no reason not to start, and sockets tell whose the ports are") {
  if (skip_without_network_namespaces()) return;
  PortScene scene(PortScene::Level::interface, small_range);
  PortUser server(scene, kFirstUser);
  const auto port = bind_surely(server, scene.first(), "dynamic:web");
  restart(scene, [&] { std::filesystem::resize_file(path_of_kept(scene), 1000); });
  CHECK(scene.engine().log().count("event=port_tables_ignored") == 1);
  await([&] {
    const auto facts = facts_of(scene, port);
    return facts && facts->state == PortState::bound && facts->pid == static_cast<std::uint32_t>(server.pid());
  });
  scene.stop();
}

}  // namespace tlsmux::test
