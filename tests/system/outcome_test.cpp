// Many clients, few sessions: every request ends once, and every answer is that of its own request.

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/host/host_process.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/ledger.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kClients = 32;
constexpr std::uint32_t kRequests = 500;  // of each client
constexpr std::uint32_t kMessageBytesMax = 65535;

enum class Keys : bool { none, in_message };

struct Farm {
  std::vector<std::string> host_arguments;
  Keys keys{};
  config::TlsVersion version{};
};

LoadOrder order_of(const config::Config& config, const TemporaryFolder& folder, std::uint32_t client, Keys keys) {
  auto order = load_order(config, client);
  order.requests = kRequests;
  order.bytes_min = keys == Keys::in_message ? 16 : 1;
  order.bytes_max = kMessageBytesMax;
  order.ledger = folder.path() + "/ledger-" + std::to_string(client);
  return order;
}

void run_farm(Farm farm) {
  const Residue residue;
  const TemporaryFolder folder;
  const auto record = folder.path() + "/record";
  farm.host_arguments.insert(farm.host_arguments.end(), {"--mode", "echo", "--record", record, "--message-bytes-max",
                                                         std::to_string(kMessageBytesMax)});
  host::HostProcess host(farm.host_arguments);
  auto config = engine_config(folder, {host.port()});
  set_large_messages(config);
  config.groups[0].memory.slots_per_channel = 16;
  config.groups[0].memory.channels_per_client = 1;
  auto& upstream = config.upstreams[0];
  upstream.sessions = 2;
  upstream.tls.version_min = upstream.tls.version_max = farm.version;
  if (farm.keys == Keys::in_message) set_keyed(upstream);
  EngineProcess engine(folder, config);
  engine.await_sessions(2);

  INFO("TLSMUX_SEED=", seed());
  std::vector<std::unique_ptr<LoadProcess>> clients;
  std::vector<std::string> ledgers;
  for (std::uint32_t client = 1; client <= kClients; ++client) {
    clients.push_back(std::make_unique<LoadProcess>(order_of(config, folder, client, farm.keys)));
    ledgers.push_back(clients.back()->order().ledger);
  }
  for (auto& client : clients) {
    const auto report = client->report();
    CHECK_MESSAGE(report.answered == kRequests, words_of(report));
  }

  CHECK(engine.stop() == 0);
  CHECK(host.stop() == 0);
  const auto receipts = read_host_records({record});
  CHECK(count_receipts(receipts) == kClients * kRequests);
  for (const auto& words : contradictions(read_ledgers(ledgers), receipts)) FAIL_CHECK(words);
}

const std::vector<std::string> kDisorder = {"--jitter-us", "3000", "--out-of-order"};

}  // namespace

TEST_CASE("outcome.32_clients_2_sessions keyed, answers out of order, TLS 1.2") {
  run_farm({.host_arguments = kDisorder, .keys = Keys::in_message, .version = config::TlsVersion::tls_1_2});
}

TEST_CASE("outcome.32_clients_2_sessions keyed, answers out of order, TLS 1.3") {
  run_farm({.host_arguments = kDisorder, .keys = Keys::in_message, .version = config::TlsVersion::tls_1_3});
}

TEST_CASE("outcome.32_clients_2_sessions fifo, from 1 byte, TLS 1.2") {
  run_farm({.host_arguments = {"--jitter-us", "500"}, .keys = Keys::none, .version = config::TlsVersion::tls_1_2});
}

TEST_CASE("outcome.32_clients_2_sessions fifo, from 1 byte, TLS 1.3") {
  run_farm({.host_arguments = {}, .keys = Keys::none, .version = config::TlsVersion::tls_1_3});
}

}  // namespace tlsmux::test
