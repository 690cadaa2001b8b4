// Connections in masses.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "engine/control/lobby.hpp"
#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using engine::control::Lobby;
using test::ControlClient;
using test::ServerProcess;

namespace {

using Crowd = std::vector<std::unique_ptr<ControlClient>>;

Crowd make_crowd(const std::string& path, std::size_t count) {
  Crowd crowd;
  for (std::size_t i = 0; i < count; ++i) {
    crowd.push_back(std::make_unique<ControlClient>(path));
    if (!crowd.back()->connected()) break;
  }
  return crowd;
}

}  // namespace

TEST_CASE("hostile.flood by a stranger does not keep members out") {
  if (test::skip_without_root("floods as another user")) return;
  ServerProcess server;
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const shm::UniqueFd reading(ends[0]);
  const shm::UniqueFd writing(ends[1]);
  test::ChildProcess stranger([&] {
    if (!test::become_user(test::kNobody)) return 1;
    const char ready = 1;
    while (true) {
      const auto crowd = make_crowd(server.path(), 2 * Lobby::kConnectionsPerUserMax);
      if (::write(writing.get(), &ready, 1) != 1) return 2;
      crowd.back()->receive();
    }
  });
  char ready = 0;
  REQUIRE(::read(reading.get(), &ready, 1) == 1);
  for (int i = 0; i < 50; ++i) {
    ControlClient member(server.path());
    CHECK(member.attach(server.group()));
  }
}

TEST_CASE("hostile.flood beyond a user's share is turned away with EAGAIN") {
  ServerProcess server;
  const auto crowd = make_crowd(server.path(), Lobby::kConnectionsPerUserMax + 1);
  REQUIRE(crowd.size() == Lobby::kConnectionsPerUserMax + 1);
  CHECK(crowd.back()->receive_error() == EAGAIN);
  CHECK(crowd.back()->receive()->bytes.empty());
}

TEST_CASE("engine.clients coming back all at once are all served") {
  ServerProcess server(
      {.memory = {.clients_max = 100, .channels_per_client = 1, .slots_per_channel = 2, .slot_bytes = 64}});
  std::vector<std::unique_ptr<test::ChildProcess>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<test::ChildProcess>(
        [&] { return ControlClient(server.path()).attach(server.group()) ? 0 : 1; }));
  }
  for (const auto& client : clients) CHECK(client->wait() == 0);
}

TEST_CASE("hostile.flood of connections and disconnections leaves nothing") {
  ServerProcess server;
  const auto before = test::descriptor_count(server.pid());
  for (int i = 0; i < 2'000; ++i) {
    ControlClient client(server.path());
    REQUIRE(client.connected());
  }
  for (int i = 0; i < 2'000; ++i) server.log().wait_for("event=connection_closed");
  CHECK(test::descriptor_count(server.pid()) == before);
  CHECK(server.stop() == 0);
}

// The limit is below all that is open: to give up a descriptor does not help.
TEST_CASE("hostile.flood when nothing can be accepted waits, and the engine does not spin") {
  ServerProcess server;
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  rlimit before{};
  const rlimit none{.rlim_cur = 3, .rlim_max = 4096};
  REQUIRE(::prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &before) == 0);
  REQUIRE(::prlimit(server.pid(), RLIMIT_NOFILE, &none, nullptr) == 0);
  ControlClient next(server.path());
  REQUIRE(next.connected());
  for (int lines = 0; lines < 12; ++lines) {
    const auto line = server.log().wait_for("event=descriptors_exhausted");
    // Attempts since the last line. One that spins makes some ten thousands in the second to the eleventh line.
    CHECK(std::stoul(test::value_in(line, "unlogged")) < 200);
  }
  CHECK(client.catch_up());
  const rlimit again{.rlim_cur = std::min<rlim_t>(before.rlim_cur, 4096), .rlim_max = 4096};
  REQUIRE(::prlimit(server.pid(), RLIMIT_NOFILE, &again, nullptr) == 0);
  CHECK(ControlClient(server.path()).attach(server.group()));
  CHECK(server.stop() == 0);
}

TEST_CASE("hostile.flood that uses up the engine's descriptors spares its clients") {
  ServerProcess server({.descriptors_max = 64});
  ControlClient client(server.path());
  REQUIRE(client.attach(server.group()));
  {
    auto crowd = make_crowd(server.path(), 100);
    server.log().wait_for("event=descriptors_exhausted");
    // What it has already goes on.
    CHECK(client.send_open_channel("nowhere"));
    const auto error = client.receive_error();
    CHECK((error == ENOENT || error == EAGAIN));
  }
  ControlClient next(server.path());
  CHECK(next.attach(server.group()));
  REQUIRE(client.send_open_channel("acquirer"));
  CHECK(client.receive_as<shm::OpenChannelReply>());
  CHECK(server.stop() == 0);
}
