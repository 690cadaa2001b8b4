// Two data centres: the first dies and comes back.

#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/acquirer/acquirer_config.hpp"
#include "tests/acquirer/status_json.hpp"
#include "tests/acquirer/terminal.hpp"
#include "tests/host/host_process.hpp"
#include "tests/host/test_messages.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kPatienceMs = 60'000;

using Host = host::HostProcess;

bool serves_at(const config::Config& config, const std::string& address) {
  return acquirer_status(config).sessions_at(address) == 2;
}

}  // namespace

TEST_CASE(
    "faults.of two endpoints the first dies and comes back: the second serves meanwhile, nothing is lost going back") {
  const Residue residue;
  const TemporaryFolder folder;
  auto first = std::make_unique<Host>(std::vector<std::string>{"--sign-on", "connection"});
  Host second({"--sign-on", "connection"});
  const auto first_address = first->address();
  auto config = acquirer_config(folder, {first->port(), second.port()});
  auto& upstream = config.upstreams[0];
  upstream.sessions = 2;
  upstream.endpoints[1].priority = 1;
  set_sign_on(upstream, config::SignOnScope::session);
  EngineProcess engine(folder, config);
  engine.await_sessions(2);
  await([&] { return serves_at(config, first_address); });
  std::uint32_t trace = 0;
  {
    Requester requester(config);
    CHECK(authorize(requester, ++trace, kPatienceMs).outcome == TMX_ANSWERED);

    first->kill();
    await([&] { return serves_at(config, second.address()); });
    CHECK(authorize(requester, ++trace, kPatienceMs).outcome == TMX_ANSWERED);
    const auto away = await_status(config, [](const auto& now) {
      return now.endpoints.at(0).is_out && now.endpoints[0].last_error_reason == "connect_refused";
    });
    CHECK(away.sessions_ready == 2);
    CHECK(away.endpoints[0].address == first_address);
    CHECK(away.endpoints[0].sessions == 0);
    CHECK(away.endpoints[0].failures >= 1);
    CHECK(away.endpoints.at(1).sessions == 2);
    CHECK(!away.endpoints[1].is_out);
    check_status_text(config, {"2/2", first_address, "OUT: connect_refused, failed", second.address(), "healthy",
                               "connect: Connection refused"});

    first = std::make_unique<Host>(std::vector<std::string>{"--sign-on", "connection", "--listen", first_address});
    // All the while requests are answered, on whichever session.
    await([&] {
      for (int i = 0; i < 10; ++i) REQUIRE(authorize(requester, ++trace, kPatienceMs).outcome == TMX_ANSWERED);
      return serves_at(config, first_address);
    });
  }
  const auto status = await_status(config, [&](const auto& now) { return now.answered == trace; });
  CHECK(status.not_sent.empty());
  CHECK(status.maybe_sent.empty());
  CHECK(!status.endpoints.at(0).is_out);
  CHECK(status.endpoints[0].sessions == 2);
  CHECK(status.endpoints.at(1).sessions == 0);
  check_status_text(config, {"2/2", "healthy"});
  CHECK(engine.stop() == 0);
  const auto report = second.stop_and_report();
  for (const auto& connection : report.connections()) {
    CAPTURE(connection.number);
    CHECK(connection.end == "closed_by_peer");
    CHECK(connection.sign_ons == 1);
    CHECK(connection.sign_offs == 1);
  }
  CHECK(report.count("without_sign_on") == 0);
  CHECK(first->stop_and_report().count("closed_after_sign_off") == 2);
}

}  // namespace tlsmux::test
