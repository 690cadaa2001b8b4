// How tlsmuxd begins and ends.

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"

namespace tlsmux::test {
namespace {

constexpr int kExitCannotStart = 3;

}  // namespace

TEST_CASE("faults.SIGTERM: what is in flight is still answered") {
  Rig rig({"--mode", "echo", "--delay-us", "1500000"}, [](config::Config& config) { set_keyed(config.upstreams[0]); });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  for (std::uint64_t tag = 1; tag <= 5; ++tag) CHECK(requester.submit(keyed_message(tag), tag) == 0);
  rig.await_received(5);
  REQUIRE(::kill(rig.engine().broker_pid(), SIGTERM) == 0);
  rig.engine().log().wait_for("event=draining");
  await([&] { return group_facts(rig.group()).state == shm::EngineState::draining; });
  const auto late = requester.ask(keyed_message(6));
  CHECK(late.outcome == TMX_NOT_SENT);
  CHECK(late.reason == TMX_REASON_ENGINE_DRAINING);
  CHECK(count_outcomes(requester.take(5), TMX_ANSWERED, TMX_REASON_NONE) == 5);
  CHECK(rig.engine().wait() == 0);
  CHECK(rig.engine().log().count("event=drained requests_left=0") == 1);
  CHECK_FALSE(std::filesystem::exists(rig.config.engine.control_socket));
  CHECK(group_objects().empty());
  CHECK(rig.host.stop() == 0);
  CHECK(rig.received() == 5);
}

TEST_CASE("faults.SIGTERM: what is not answered in time is MAYBE_SENT, what waits is NOT_SENT") {
  Rig rig({"--mode", "sink"}, [](config::Config& config) {
    config.engine.drain_timeout_ms = 300;
    config.upstreams[0].in_flight_max = 1;
  });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(requester.submit("in flight", 1) == 0);
  CHECK(requester.submit("queued", 2) == 0);
  rig.await_received(1);
  rig.stop();
  const auto all = requester.take(2);
  CHECK(count_outcomes(all, TMX_MAYBE_SENT, TMX_REASON_ENGINE_DRAINING) == 1);
  CHECK(count_outcomes(all, TMX_NOT_SENT, TMX_REASON_ENGINE_DRAINING) == 1);
  CHECK(rig.received() == 1);
}

TEST_CASE("faults.an engine without open requests ends at once, and says goodbye to its hosts") {
  const TemporaryFolder reports;
  const auto report = reports.path() + "/report";
  Rig rig({"--mode", "echo", "--report", report}, [](config::Config& config) { config.upstreams[0].sessions = 3; });
  rig.engine().await_sessions(3);
  rig.stop();
  CHECK(rig.host.stop() == 0);
  CHECK(host::read_file(report).find("\"closed_by_peer\": 3") != std::string::npos);
}

TEST_CASE("faults.a second tlsmuxd for a live group refuses to start") {
  Rig rig({"--mode", "echo"});
  auto second = rig.config;
  const auto expect_refusal = [&](const std::string& words) {
    EngineProcess refused(rig.folder, second, {.wait_until_serving = false});
    CHECK(refused.wait() == kExitCannotStart);
    CHECK_MESSAGE(refused.log().count(words) == 1, refused.log().last_lines());
  };
  // Other socket, same group.
  second.engine.control_socket = rig.folder.path() + "/other.sock";
  expect_refusal("group " + rig.group() + " is served by a live engine (pid " +
                 std::to_string(rig.engine().engine_pid()) + ")");
  CHECK_FALSE(std::filesystem::exists(second.engine.control_socket));
  // Other group, same socket.
  second.engine.control_socket = rig.config.engine.control_socket;
  second.groups[0].name = unique_group();
  second.upstreams[0].groups = {second.groups[0].name};
  expect_refusal("a live tlsmuxd answers at the control socket " + rig.config.engine.control_socket);

  Requester requester(rig.config);
  CHECK(requester.ask("the first one goes on").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE("faults.two engines on disjoint groups") {
  Rig rig({"--mode", "echo"});
  auto second = rig.config;
  second.engine.control_socket = rig.folder.path() + "/other.sock";
  second.groups[0].name = unique_group();
  second.upstreams[0].groups = {second.groups[0].name};
  EngineProcess other(rig.folder, second);
  Requester requester(rig.config);
  Requester other_requester(second);
  for (int i = 0; i < 10; ++i) {
    CHECK(requester.ask("one").outcome == TMX_ANSWERED);
    CHECK(other_requester.ask("the other").outcome == TMX_ANSWERED);
  }
  const auto first_pid = rig.engine().engine_pid();
  other.kill_engine();
  CHECK(requester.ask("one").outcome == TMX_ANSWERED);
  // Not even a session of the first one was touched.
  CHECK(group_facts(rig.group()).engine_pid == static_cast<std::uint32_t>(first_pid));
  CHECK(rig.await_facts([](const auto& facts) { return facts.answered == 11; }).handshakes == 1);
  await([&] { return other_requester.ask("the other").outcome == TMX_ANSWERED; });
  CHECK(other.stop() == 0);
  CHECK(requester.ask("one").outcome == TMX_ANSWERED);
  rig.stop();
}

TEST_CASE(
    "faults.two engines with one state directory: one counts an upstream's trace numbers, the other waits for it") {
  Rig rig({"--mode", "echo"});
  auto second = rig.config;
  second.engine.control_socket = rig.folder.path() + "/other.sock";
  second.engine.state_directory = rig.folder.path();
  second.groups[0].name = unique_group();
  second.upstreams[0].groups = {second.groups[0].name};
  std::set<std::uint32_t> seen;
  std::uint32_t number = 0;
  std::optional<EngineProcess> other(std::in_place, rig.folder, second);
  auto options = attach_options(second);
  options.timeout_ms = 300;
  tmx_client* client = nullptr;
  tmx_channel* channel = nullptr;
  REQUIRE(tmx_attach(&options, &client) == 0);
  REQUIRE(tmx_channel_open(client, second.upstreams[0].name.c_str(), &channel) == 0);
  {
    const Requester first(rig.config);
    for (int i = 0; i < 100; ++i) {
      REQUIRE(tmx_next_trace_number(first.channel(), &number) == 0);
      CHECK(seen.insert(number).second);
    }
    CHECK(tmx_next_trace_number(channel, &number) == -ETIMEDOUT);
    const auto line = other->log().wait_for("event=trace_numbers_not_reserved");
    CHECK_MESSAGE(line.find("acquirer.trace.lock is locked by another tlsmuxd (pid " +
                            std::to_string(rig.engine().broker_pid()) + ")") != std::string::npos,
                  line);
    CHECK_MESSAGE(line.find("an /engine/state_directory of its own") != std::string::npos, line);
    rig.engine().kill_engine();  // its broker goes on counting
    await([&] { return tmx_next_trace_number(first.channel(), &number) == 0; });
    CHECK(seen.insert(number).second);
    CHECK(tmx_next_trace_number(channel, &number) == -ETIMEDOUT);
  }
  rig.stop();
  await([&] { return tmx_next_trace_number(channel, &number) == 0; });
  for (int i = 0; i < 100; ++i) {
    CHECK(seen.insert(number).second);
    REQUIRE(tmx_next_trace_number(channel, &number) == 0);
  }
  CHECK(tmx_channel_close(channel) == 0);
  CHECK(tmx_detach(client) == 0);
  CHECK(other->stop() == 0);
  CHECK_FALSE(std::filesystem::exists(rig.folder.path() + "/acquirer.trace.lock"));
}

TEST_CASE("faults.started without root it works and says what it could not do") {
  if (skip_without_root("it becomes another user to be without root; started without root it always is")) return;
  const Residue residue;
  const TemporaryFolder folder;
  REQUIRE(::chmod(folder.path().c_str(), 01777) == 0);
  const host::HostProcess host({"--mode", "echo"});
  auto config = engine_config(folder, {host.port()});
  config.groups[0].users = {"0", std::to_string(kNobody)};
  config.upstreams[0].tls.ca_file = folder.add("ca.pem", host::read_file(host::certificate_file("ca.pem")), 0644);
  EngineProcess engine(folder, config, {.prepare = [] { return become_user(kNobody); }});
  const auto line = engine.log().wait_for("event=memory_not_locked");
  CHECK_MESSAGE(line.find("needs=") != std::string::npos, line);
  engine.await_sessions(1);
  Requester requester(config);
  CHECK(requester.ask("a request").outcome == TMX_ANSWERED);
  engine.kill_engine();
  await([&] { return requester.ask("a request").outcome == TMX_ANSWERED; });
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.started as root with a user it gives root up") {
  if (skip_without_root("it gives it up")) return;
  Rig rig({"--mode", "echo"}, [](config::Config& config) { config.engine.user = std::to_string(kNobody); });
  std::ifstream status("/proc/" + std::to_string(rig.engine().engine_pid()) + "/status");
  std::string line;
  std::string uids;
  while (std::getline(status, line)) {
    if (line.starts_with("Uid:")) uids = line;
  }
  CHECK(uids == "Uid:\t65534\t65534\t65534\t65534");
  Requester requester(rig.config);
  CHECK(requester.ask("a request").outcome == TMX_ANSWERED);
  rig.engine().kill_engine();
  await([&] { return requester.ask("a request").outcome == TMX_ANSWERED; });
  rig.stop();
}

TEST_CASE("faults.the service manager is told when it is ready and when it stops") {
  const Residue residue;
  const TemporaryFolder folder;
  const auto config = engine_config(folder, {1});
  const auto path = folder.path() + "/notify";
  const shm::UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(socket);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  EngineProcess engine(folder, config, {.prepare = [&] { return ::setenv("NOTIFY_SOCKET", path.c_str(), 1) == 0; }});
  const auto next = [&] {
    std::array<char, 64> text{};
    const auto size = ::recv(socket.get(), text.data(), text.size(), MSG_DONTWAIT);
    return std::string(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  };
  await([&] { return next() == "READY=1"; });
  CHECK(engine.stop() == 0);
  CHECK(next() == "STOPPING=1");
}

}  // namespace tlsmux::test
