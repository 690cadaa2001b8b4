// A host is restarted under many sessions and clients: no storm of handshakes, and each resumes.

#include <chrono>
#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "tests/acquirer/acquirer_config.hpp"
#include "tests/acquirer/authorizer.hpp"
#include "tests/acquirer/status_json.hpp"
#include "tests/host/host_process.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/load_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kSessions = 8;
constexpr std::uint32_t kClients = 64;
constexpr std::uint32_t kHandshakesMax = 2;

using Clock = std::chrono::steady_clock;

config::Config restart_config(const TemporaryFolder& folder, std::uint16_t port) {
  auto config = acquirer_config(folder, {port});
  config.groups[0].memory = {
      .clients_max = kClients, .channels_per_client = 1, .slots_per_channel = 8, .slot_bytes = 4096};
  auto& upstream = config.upstreams[0];
  upstream.sessions = kSessions;
  upstream.handshakes_max = kHandshakesMax;
  set_sign_on(upstream, config::SignOnScope::session);
  return config;
}

}  // namespace

TEST_CASE(
    "faults.a host restarts under 8 sessions and 64 clients: few handshakes at once, each resumed, and it serves "
    "again") {
  const Residue residue;
  const TemporaryFolder folder;
  // Handshakes are held up, so that they would come together.
  const std::vector<std::string> arguments = {
      "--sign-on", "connection", "--ticket-keys", folder.path() + "/tickets", "--handshake-delay-ms", "10"};
  auto host = std::make_unique<host::HostProcess>(arguments);
  const auto address = host->address();
  const auto config = restart_config(folder, host->port());
  EngineProcess engine(folder, config);
  engine.await_sessions(kSessions);
  const StopSign stop;
  std::vector<std::unique_ptr<Authorizer>> clients;
  for (std::uint32_t i = 0; i < kClients; ++i) {
    auto order = authorizer_order(config);
    order.stop = stop.descriptor();
    clients.push_back(std::make_unique<Authorizer>(order));
  }
  await_status(config, [](const auto& now) { return now.answered > 4 * kClients; });
  CHECK(host->report().count("handshakes_in_progress_max") <= kHandshakesMax);

  engine.log().forget();
  const auto killed_at = Clock::now();
  host->kill();
  engine.log().wait_for("event=session_lost", kSessions);
  engine.log().wait_for("reason=connect_refused");
  engine.log().forget();
  const auto restarted_at = Clock::now();
  auto with_address = arguments;
  with_address.insert(with_address.end(), {"--listen", address});
  host = std::make_unique<host::HostProcess>(with_address);
  engine.await_sessions(1);
  const auto served_at = Clock::now();
  engine.await_sessions(kSessions);
  const auto complete_at = Clock::now();
  CHECK(engine.log().count("event=session_lost") == 0);
  const auto answered = acquirer_status(config).answered;
  await_status(config, [&](const auto& now) { return now.answered > answered + 4 * kClients; });

  stop.raise();
  AuthorizerReport sum;
  for (const auto& client : clients) {
    const auto report = client->report();
    CHECK(report.answered > 0);
    sum.answered += report.answered;
    sum.not_sent += report.not_sent;
    sum.maybe_sent += report.maybe_sent;
  }
  const auto status = await_status(config, [&](const auto& now) { return now.answered == sum.answered; });
  CHECK(status.sessions_ready == kSessions);
  CHECK(status.not_sent_in_all() == sum.not_sent);
  CHECK(status.maybe_sent_in_all() == sum.maybe_sent);
  CHECK(engine.stop() == 0);
  const auto report = host->stop_and_report();
  CHECK(report.count("handshakes_in_progress_max") <= kHandshakesMax);
  CHECK(report.count("handshakes_in_progress_max") >= 1);
  CHECK(report.count("handshakes_resumed") == kSessions);
  CHECK(report.count("handshakes_full") == 0);
  CHECK(report.count("connections") == kSessions);
  CHECK(report.count("closed_after_sign_off") == kSessions);
  const auto ms = [](auto from, auto to) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count();
  };
  MESSAGE("the host was away for ", ms(killed_at, restarted_at), " ms and took ", ms(restarted_at, served_at),
          " ms from its start to the first session, ", ms(restarted_at, complete_at), " ms to all ", kSessions, "; ",
          sum.answered, " answered, ", sum.not_sent, " NOT_SENT, ", sum.maybe_sent, " MAYBE_SENT");
}

}  // namespace tlsmux::test
