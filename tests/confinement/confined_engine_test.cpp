// A real tlsmuxd serves, confined: its broker, and each thread of its engine.

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "tests/confinement/ambient_capabilities.hpp"
#include "tests/confinement/forbidden_call.hpp"
#include "tests/confinement/sanitizer.hpp"
#include "tests/host/host_process.hpp"
#include "tests/system/await.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The value in a line of /proc/PID/status, such as "Seccomp".
int number_in(const std::string& status, const std::string& key) {
  const auto at = status.find("\n" + key + ":\t");
  return at == std::string::npos ? -1 : std::atoi(status.c_str() + at + key.size() + 3);
}

// Filters that have been added since the test began.
int filters_of(const std::string& status) {
  return number_in(status, "Seccomp_filters") - number_in(text_of("/proc/self/status"), "Seccomp_filters");
}

std::filesystem::path process(pid_t pid) { return "/proc/" + std::to_string(pid); }

bool leaves_no_core(pid_t pid) {
  return text_of(process(pid) / "limits").find("Max core file size        0                    0") != std::string::npos;
}

// By name, with `expect` called for the status of each.
template <typename Expect>
std::map<std::string, std::size_t> threads_of(pid_t pid, const Expect& expect) {
  std::map<std::string, std::size_t> threads;
  for (const auto& thread : std::filesystem::directory_iterator(process(pid) / "task")) {
    auto name = text_of(thread.path() / "comm");
    if (name.ends_with('\n')) name.pop_back();
    ++threads[name];
    const auto status = text_of(thread.path() / "status");
    INFO(name, "\n", status);
    expect(status);
  }
  return threads;
}

// An engine with all kinds of threads, that has done its work once.
struct Scene {
  explicit Scene(config::Confinement confinement) {
    config.engine.confinement = confinement;
    config.upstreams[0].sessions = 2;
    set_keyed(config.upstreams[0]);
    config.upstreams[0].streams.order = config::StreamOrder::as_asked;
    config.ssl_wrapper.rules = {{.address = "127.0.0.1", .name = {}, .port = 1, .upstream = config.upstreams[0].name}};
  }

  void serve() {
    engine.emplace(folder, config);
    engine->await_sessions(2);
    Requester requester(config);
    CHECK(requester.ask("0123456789abcdef and more").outcome == TMX_ANSWERED);
  }

  void stop() {
    CHECK(engine->stop() == 0);
    CHECK(host.stop() == 0);
  }

  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host{{"--mode", "echo"}};
  config::Config config = engine_config(folder, {host.port()});
  std::optional<EngineProcess> engine;
};

}  // namespace

TEST_CASE("engine.every thread of an engine that serves is confined, and so is its broker") {
  if (skip_with_sanitizer()) return;
  Scene scene(config::Confinement::on);
  scene.serve();
  CHECK(scene.engine->log().wait_for("event=confined").find("calls_filtered=yes") != std::string::npos);
  const std::map<std::string, std::size_t> expected{
      {"tlsmuxd-engine", 2},  // the control thread, and the log's, which has its name
      {"tmx-data-0", 1},     {"tmx-worker", scene.config.engine.worker_threads},
      {"tmx-resolver", 1},   {"tmx-accounts", 1},
      {"tmx-wrapper", 1}};
  // A thread that nobody has needed yet may not have run yet.
  await([&] {
    bool are_confined = true;
    return expected ==
               threads_of(scene.engine->engine_pid(),
                          [&](const std::string& status) { are_confined = are_confined && filters_of(status) == 2; }) &&
           are_confined;
  });
  // The broker's rules, and those of its kind.
  threads_of(scene.engine->engine_pid(), [](const std::string& status) {
    CHECK(number_in(status, "NoNewPrivs") == 1);
    CHECK(number_in(status, "Seccomp") == 2);
    CHECK(filters_of(status) == 2);
  });
  CHECK(leaves_no_core(scene.engine->engine_pid()));

  const auto of_broker = threads_of(scene.engine->broker_pid(), [](const std::string& status) {
    CHECK(number_in(status, "NoNewPrivs") == 1);
    CHECK(number_in(status, "Seccomp") == 2);
    CHECK(filters_of(status) == 1);
  });
  CHECK(of_broker.size() == 1);
  scene.stop();
}

TEST_CASE("engine.capabilities that tlsmuxd is started with do not reach its engine") {
  if (skip_without_root("it hands out capabilities")) return;
  const Residue residue;
  const TemporaryFolder folder;
  REQUIRE(::chown(folder.path().c_str(), kNobody, kNobody) == 0);
  auto config = engine_config(folder, {1});
  config.upstreams[0].tls.ca_file = folder.add("ca.pem", host::read_file(host::certificate_file("ca.pem")), 0644);
  EngineProcess engine(folder, config,
                       {.prepare = [] { return become_user_with(kNobody, {CAP_NET_RAW, CAP_SYS_PTRACE}); }});
  const auto in_effect = [](pid_t pid) {
    const auto status = text_of(process(pid) / "status");
    return status.substr(status.find("CapEff:\t") + 8, 16);
  };
  CHECK(in_effect(engine.broker_pid()) == "0000000000082000");
  CHECK(in_effect(engine.engine_pid()) == "0000000000000000");
  CHECK(engine.stop() == 0);
}

TEST_CASE("engine.an engine whose confinement is off says so, and leaves no core dump all the same") {
  if (skip_with_sanitizer()) return;
  Scene scene(config::Confinement::off);
  scene.serve();
  const auto warning = scene.engine->log().wait_for("event=confinement_incomplete");
  CHECK_MESSAGE(warning.find("level=warning") != std::string::npos, warning);
  CHECK_MESSAGE(warning.find("/engine/confinement is off") != std::string::npos, warning);
  threads_of(scene.engine->engine_pid(), [](const std::string& status) {
    CHECK(number_in(status, "NoNewPrivs") == 1);
    CHECK(filters_of(status) == 0);
  });
  threads_of(scene.engine->broker_pid(), [](const std::string& status) { CHECK(filters_of(status) == 0); });
  CHECK(leaves_no_core(scene.engine->engine_pid()));
  // Each start says it.
  scene.engine->kill_engine();
  scene.engine->log().wait_for("event=confinement_incomplete", 2);
  scene.stop();
}

TEST_CASE("engine.where seccomp is forbidden tlsmuxd does not start, unless its confinement is off") {
  if (skip_with_sanitizer()) return;
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  const auto without_seccomp = [] { return forbid_call(SYS_seccomp, EPERM); };
  {
    EngineProcess engine(folder, config, {.prepare = without_seccomp, .wait_until_serving = false});
    const auto line = engine.log().wait_for("event=cannot_start");
    CHECK_MESSAGE(line.find("a container has to allow seccomp") != std::string::npos, line);
    CHECK_MESSAGE(line.find("off") != std::string::npos, line);
    CHECK(engine.wait() == 3);
  }
  std::filesystem::remove(folder.path(config.groups[0].name + ".json"));
  config.engine.confinement = config::Confinement::off;
  EngineProcess engine(folder, config, {.prepare = without_seccomp});
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

TEST_CASE("engine.where Landlock is forbidden the engine serves, and warns") {
  if (skip_with_sanitizer()) return;
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--mode", "echo"});
  const auto config = engine_config(folder, {host.port()});
  EngineProcess engine(folder, config, {.prepare = [] { return forbid_call(SYS_landlock_create_ruleset, EPERM); }});
  const auto line = engine.log().wait_for("event=confinement_incomplete");
  CHECK_MESSAGE(line.find("Landlock is forbidden here") != std::string::npos, line);
  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
}

}  // namespace tlsmux::test
