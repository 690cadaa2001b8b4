// Against a TLS program that knows nothing of tlsmux.

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/seed.hpp"
#include "tests/system/echo_server.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kClients = 32;
constexpr std::uint32_t kRequests = 100;  // of each client
// What is on its way fits into the two pipes of the echo: s_server does not read one while it writes the other.
constexpr std::uint32_t kMessageBytesMax = 8192;
constexpr std::uint32_t kInFlightMax = 7;

void run_farm(const std::string& version_option, config::TlsVersion version) {
  const Residue residue;
  const TemporaryFolder folder;
  const EchoServer server({version_option});
  auto config = engine_config(folder, {server.port()});
  config.groups[0].memory = {
      .clients_max = kClients, .channels_per_client = 1, .slots_per_channel = 16, .slot_bytes = kMessageBytesMax};
  auto& upstream = config.upstreams[0];
  upstream.framing.message_bytes_max = kMessageBytesMax;
  upstream.in_flight_max = kInFlightMax;
  upstream.tls.version_min = upstream.tls.version_max = version;
  EngineProcess engine(folder, config);
  engine.await_sessions(1);

  INFO("TLSMUX_SEED=", seed());
  std::vector<std::unique_ptr<LoadProcess>> clients;
  for (std::uint32_t client = 1; client <= kClients; ++client) {
    auto order = load_order(config, client);
    order.requests = kRequests;
    order.bytes_min = 1;
    order.bytes_max = kMessageBytesMax;
    clients.push_back(std::make_unique<LoadProcess>(order));
  }
  for (auto& client : clients) {
    const auto report = client->report();
    CHECK_MESSAGE(report.answered == kRequests, words_of(report));
  }
  CHECK(engine.log().count("event=session_lost") == 0);
  CHECK(engine.stop() == 0);
}

}  // namespace

TEST_CASE("outcome.32_clients against openssl s_server, fifo, from 1 byte, TLS 1.2") {
  run_farm("-tls1_2", config::TlsVersion::tls_1_2);
}

TEST_CASE("outcome.32_clients against openssl s_server, fifo, from 1 byte, TLS 1.3") {
  run_farm("-tls1_3", config::TlsVersion::tls_1_3);
}

}  // namespace tlsmux::test
