// The broker as a whole: start, restart, stop, and what is left behind.

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "engine/broker/broker_client.hpp"
#include "engine/confinement/confinement.hpp"
#include "engine/confinement/file_rules.hpp"
#include "engine/engine.hpp"
#include "shm/system/seqpacket.hpp"
#include "tests/broker/broker_process.hpp"
#include "tests/support/pem_text.hpp"

using namespace tlsmux;
using test::BrokerProcess;

TEST_CASE("engine.broker starts an engine and leaves nothing when told to stop") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  int signal = SIGTERM;
  SUBCASE("SIGTERM") {}
  SUBCASE("SIGINT") { signal = SIGINT; }
  BrokerProcess broker(config, test::serve_until_told);
  const auto engine = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");
  CHECK(test::residue(config.groups[0].name) == 2);  // the lock, the group's object
  CHECK(test::can_connect(config.engine.control_socket));
  broker.process().send_signal(signal);
  CHECK(broker.wait() == engine::kExitClean);
  CHECK(broker.log().rest().find("event=engine_ended") != std::string::npos);
  CHECK(test::wait_for_end(engine));
  CHECK(test::residue(config.groups[0].name) == 0);
  CHECK(!std::filesystem::exists(config.engine.control_socket));
}

TEST_CASE("engine.broker restarts a killed engine while clients can connect") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, test::serve_until_told);
  auto engine = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");
  for (int i = 0; i < 3; ++i) {
    REQUIRE(::kill(engine, SIGKILL) == 0);
    CHECK(broker.log().wait_for("event=engine_died").find("signal 9") != std::string::npos);
    CHECK(test::can_connect(config.engine.control_socket));
    const auto next = broker.engine_pid();
    CHECK(next != engine);
    engine = next;
    const auto line = broker.log().wait_for("event=engine_restarted");
    CHECK(test::value_in(line, "pid") == std::to_string(engine));
    CHECK(!test::value_in(line, "after_ms").empty());
  }
  CHECK(broker.stop() == engine::kExitClean);
  CHECK(test::residue(config.groups[0].name) == 0);
}

TEST_CASE("engine.broker of an engine that dies in a refresh has the one configuration or the other") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  const auto old_group = config.groups[0].name;
  const auto new_group = test::unique_group();
  const auto group = [](const std::string& name) { return R"({"name": ")" + name + R"(", "users": ["root"]})"; };
  const auto path = folder.add(
      "config.json", R"({"engine": {"control_socket": ")" + config.engine.control_socket + R"("}, "groups": [)" +
                         group(new_group) + R"(], "upstreams": [{"name": "host", "groups": [")" + new_group +
                         R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}], "tls": {"ca_file": ")" +
                         folder.add("ca.pem", test::kPemText) + R"("}}]})");
  // The first dies before it has told the broker to adopt, the second right after.
  const auto engine_main = [&](const config::Config& present, engine::EngineResources resources) {
    engine::broker::BrokerClient client(resources.broker_socket.get());
    if (resources.restarts == 1 && test::residue(new_group) != 0) return 23;
    if (resources.restarts < 2) {
      const auto candidate = client.load_candidate();
      if (!candidate || candidate->is_refused) return 20;
      if (!client.create_group_object({.index = 0, .in_candidate = true}, 4096)) return 21;
      if (resources.restarts == 1 && !client.adopt_candidate()) return 22;
      ::raise(SIGKILL);
    }
    return test::serve_until_told(present, std::move(resources));
  };
  BrokerProcess broker(config, engine_main, [] { return true; }, path);
  const auto expect_death = [&] {
    const auto line = broker.log().wait_for("event=engine_died");
    CHECK_MESSAGE(line.find("signal 9") != std::string::npos, line);
  };
  expect_death();
  expect_death();
  broker.log().wait_for("event=engine_serving");
  CHECK(test::residue(old_group) == 0);
  CHECK(test::residue(new_group) == 2);  // object and lock
  CHECK(broker.stop() == engine::kExitClean);
  CHECK(test::residue(new_group) == 0);
}

TEST_CASE("engine.broker ends with an engine that ends by itself") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, test::serve_until_told);
  const auto engine = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");
  REQUIRE(::kill(engine, SIGTERM) == 0);
  CHECK(broker.wait() == engine::kExitClean);
  CHECK(test::residue(config.groups[0].name) == 0);
}

TEST_CASE("engine.start that fails names what Landlock lets be read if a file is missing, and else does not") {
  namespace confinement = engine::confinement;
  const test::TemporaryFolder folder;
  auto config = test::broker_config(folder);
  config.upstreams.resize(1);
  config.upstreams[0].name = "acquirer";
  const auto last_words = [&](const std::string& ca_file) {
    config.upstreams[0].tls.ca_file = ca_file;
    BrokerProcess broker(config, engine::run_engine);
    const auto line = broker.log().wait_for("event=engine_cannot_start");
    CHECK(broker.wait() == engine::kExitCannotStart);
    return line;
  };
  const auto wrong = last_words(folder.add("ca.pem", "hello"));
  CHECK_MESSAGE(wrong.contains("holds no CA certificate"), wrong);
  CHECK_MESSAGE(!wrong.contains("landlock"), wrong);
  const auto missing = last_words(folder.path("none.pem"));
  const bool has_rules = confinement::kernel_landlock_version() > 0 && !confinement::is_instrumented();
  CHECK_MESSAGE(missing.contains(" landlock_lets_read=\"/etc ") == has_rules, missing);
}

TEST_CASE("engine.broker gives up when the first engine cannot start") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config,
                       [](const config::Config&, const engine::EngineResources&) { return engine::kExitCannotStart; });
  CHECK(broker.wait() == engine::kExitCannotStart);
  CHECK(test::residue(config.groups[0].name) == 0);
}

TEST_CASE("engine.broker keeps trying when a later engine cannot start") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, [](const config::Config& settings, engine::EngineResources resources) {
    const bool broken = resources.restarts == 1 || resources.restarts == 2;
    return broken ? engine::kExitCannotStart : test::serve_until_told(settings, std::move(resources));
  });
  const auto engine = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");
  REQUIRE(::kill(engine, SIGKILL) == 0);
  CHECK(broker.log().wait_for("event=engine_restarted").find("after_ms=") != std::string::npos);
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("engine.broker kills an engine that does not end when told to") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, [](const config::Config&, const engine::EngineResources& resources) {
    engine::broker::BrokerClient client(resources.broker_socket.get());
    if (!client.report_serving()) return 1;
    while (true) ::pause();
  });
  const auto engine = broker.engine_pid();
  CHECK(broker.stop() == engine::kExitKilled);
  CHECK(broker.log().rest().find("event=engine_killed") != std::string::npos);
  CHECK(test::wait_for_end(engine));
  CHECK(test::residue(config.groups[0].name) == 0);
}

TEST_CASE("engine.broker of a group that is served already refuses to start") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess first(config, test::serve_until_told);
  const auto engine = first.engine_pid();
  first.log().wait_for("event=engine_serving");

  auto other_socket = config;
  other_socket.engine.control_socket = folder.path() + "/other.sock";
  BrokerProcess second(other_socket, test::serve_until_told);
  CHECK(second.wait() == engine::kExitCannotStart);
  const auto wanted = "group " + config.groups[0].name + " is served by a live engine (pid " + std::to_string(engine);
  CHECK(second.log().rest().find(wanted) != std::string::npos);

  auto other_group = config;
  other_group.groups[0].name = test::unique_group();
  BrokerProcess third(other_group, test::serve_until_told);
  CHECK(third.wait() == engine::kExitCannotStart);
  CHECK(third.log().rest().find("a live tlsmuxd answers") != std::string::npos);
  CHECK(test::residue(other_group.groups[0].name) == 0);

  // Neither did the first any harm.
  CHECK(test::residue(config.groups[0].name) == 2);
  CHECK(test::can_connect(config.engine.control_socket));
  CHECK(first.stop() == engine::kExitClean);
}

TEST_CASE("engine.broker whose log is a file says on standard error, too, why it cannot start") {
  const test::TemporaryFolder folder;
  auto config = test::broker_config(folder);
  BrokerProcess first(config, test::serve_until_told);
  first.log().wait_for("event=engine_serving");
  config.engine.log.file = folder.path("log");
  BrokerProcess second(config, test::serve_until_told);
  CHECK(second.wait() == engine::kExitCannotStart);
  const auto words = second.log().rest();  // its standard error
  CHECK_MESSAGE(words.starts_with("tlsmuxd: cannot start: group " + config.groups[0].name + " is served"), words);
  CHECK(words.ends_with("\n"));
  CHECK(std::ranges::count(words, '\n') == 1);
  CHECK(first.stop() == engine::kExitClean);
}

TEST_CASE("engine.broker killed leaves an engine that ends and a place that can be taken over") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  {
    BrokerProcess broker(config, test::serve_until_told);
    const auto engine = broker.engine_pid();
    broker.log().wait_for("event=engine_serving");
    broker.process().send_signal(SIGKILL);
    CHECK(broker.wait() == 128 + SIGKILL);
    CHECK(test::wait_for_end(engine));
  }
  CHECK(test::residue(config.groups[0].name) == 2);
  BrokerProcess next(config, test::serve_until_told);
  next.log().wait_for("event=engine_serving");
  CHECK(test::can_connect(config.engine.control_socket));
  CHECK(next.stop() == engine::kExitClean);
  CHECK(test::residue(config.groups[0].name) == 0);
}

TEST_CASE("hostile.broker kills an engine that sends nonsense and starts another") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, [](const config::Config& settings, engine::EngineResources resources) {
    if (resources.restarts == 0) {
      const std::array<std::byte, 9000> noise{};
      for (std::size_t size = 1; size < noise.size(); size += 900) {
        [[maybe_unused]] const auto sent =
            shm::send_packet(resources.broker_socket.get(), std::span(noise).first(size));
      }
      while (true) ::pause();
    }
    return test::serve_until_told(settings, std::move(resources));
  });
  broker.log().wait_for("event=engine_killed");
  broker.log().wait_for("event=engine_died");
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("hostile.broker outlives an engine that closes its socket") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, [](const config::Config& settings, engine::EngineResources resources) {
    if (resources.restarts > 0) return test::serve_until_told(settings, std::move(resources));
    resources.broker_socket.reset();
    return 7;
  });
  CHECK(broker.log().wait_for("event=engine_died").find("exit code 7") != std::string::npos);
  broker.log().wait_for("event=engine_serving");
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("engine.broker's files outlive an engine that ends by an exception") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  BrokerProcess broker(config, [](const config::Config& settings, engine::EngineResources resources) {
    if (resources.restarts == 1) throw std::bad_alloc();
    return test::serve_until_told(settings, std::move(resources));
  });
  const auto engine = broker.engine_pid();
  broker.log().wait_for("event=engine_serving");
  REQUIRE(::kill(engine, SIGKILL) == 0);
  CHECK(broker.log().wait_for("event=engine_died").find("signal 9") != std::string::npos);
  CHECK(broker.log().wait_for("event=engine_died").find("signal 6") != std::string::npos);
  broker.log().wait_for("event=engine_restarted");
  CHECK(test::residue(config.groups[0].name) == 2);
  CHECK(test::can_connect(config.engine.control_socket));
  CHECK(broker.stop() == engine::kExitClean);
}

TEST_CASE("engine.broker tells the service manager when it serves and when it stops") {
  const test::TemporaryFolder folder;
  const auto config = test::broker_config(folder);
  const auto path = folder.path() + "/notify.sock";
  const shm::UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  BrokerProcess broker(config, test::serve_until_told, [&] { return ::setenv("NOTIFY_SOCKET", path.c_str(), 1) == 0; });
  const auto next_notice = [&] {
    std::array<char, 64> text{};
    REQUIRE(shm::wait_readable(manager.get(), 20'000));
    REQUIRE(::recv(manager.get(), text.data(), text.size() - 1, 0) > 0);
    return std::string(text.data());
  };
  CHECK(next_notice() == "READY=1");
  CHECK(broker.stop() == engine::kExitClean);
  CHECK(next_notice() == "STOPPING=1");
}

TEST_CASE("engine.broker whose log is a FIFO ends and says so") {
  const test::TemporaryFolder folder;
  auto config = test::broker_config(folder);
  config.engine.log.file = folder.path() + "/log";
  REQUIRE(::mkfifo(config.engine.log.file.c_str(), 0600) == 0);
  BrokerProcess broker(config, test::serve_until_told);
  CHECK(broker.wait() == engine::kExitCannotStart);
  CHECK(broker.log().rest().find("tlsmuxd: the log file " + config.engine.log.file) != std::string::npos);
}
