// Many clients that are thrown out, one after the other.

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "engine/control/throttle.hpp"
#include "tests/control/control_client.hpp"
#include "tests/control/server_process.hpp"

using namespace tlsmux;
using test::ControlClient;
using test::ServerProcess;

namespace {

// What the lines say, those that were written and those that were counted.
struct LinesSeen {
  int detached = 0;
  int detached_unlogged = 0;
  int others = 0;
  int others_unlogged = 0;

  void add(const std::string& line) {
    const auto event = test::value_in(line, "event");
    if (event == "client_detached") {
      ++detached;
      CHECK(test::value_in(line, "reason") == "it offended");
      CHECK(test::value_in(line, "pid") == std::to_string(::getpid()));
      CHECK(test::value_in(line, "uid") == std::to_string(::geteuid()));
    } else if (event == "clients_detached") {
      detached_unlogged += std::stoi(test::value_in(line, "unlogged"));
      CHECK(test::value_in(line, "reason") == "it offended");
    } else if (event == "client_attached" || event == "client_released") {
      ++others;
    } else if (event == "client_lines_left_out") {
      others_unlogged += std::stoi(test::value_in(line, "unlogged"));
    }
  }
};

}  // namespace

TEST_CASE("hostile.storm of clients that are detached does not fill the log, and none is missing in its counts") {
  constexpr int kClients = 200;
  using Clock = std::chrono::steady_clock;
  ServerProcess server;
  const auto began = Clock::now();
  for (int i = 0; i < kClients; ++i) {
    ControlClient client(server.path());
    REQUIRE(client.attach(server.group()));
    REQUIRE(client.send_open_channel("offend"));
    REQUIRE(client.receive_error() == EPROTO);
  }
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(Clock::now() - began).count();
  LinesSeen seen;
  // The last count comes by itself, when the storm is over.
  while (seen.detached + seen.detached_unlogged < kClients) seen.add(server.log().wait_for("event="));
  CHECK(server.stop() == 0);
  std::istringstream rest(server.log().rest());
  for (std::string line; std::getline(rest, line);) seen.add(line);
  CHECK(seen.detached + seen.detached_unlogged == kClients);
  CHECK(seen.others + seen.others_unlogged == 2 * kClients);
  CHECK(seen.detached <= engine::control::Throttle::kPerSecondMax * (seconds + 1));
  CHECK(seen.others <= 3 * engine::control::Throttle::kPerSecondMax * (seconds + 1));
}
