// Echo tests in both directions.

#include <doctest/doctest.h>

#include "tests/acquirer/acquirer_config.hpp"
#include "tests/acquirer/status_json.hpp"
#include "tests/acquirer/terminal.hpp"
#include "tests/host/host_process.hpp"
#include "tests/host/test_messages.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {

TEST_CASE("iso8583.heartbeats keep the distance that the host demands") {
  const Residue residue;
  const TemporaryFolder folder;
  // It closes a connection with two echo tests in less; half of what the engine keeps, since each comes when it comes.
  host::HostProcess host({"--echo-interval-min-ms", "600"});
  auto config = acquirer_config(folder, {host.port()});
  set_echo_test(config.upstreams[0], 10, 1200);
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  host.await_count("echo_tests", 3);
  CHECK(engine.log().count("event=session_lost") == 0);
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  CHECK(report.count("echo_tests_too_soon") == 0);
  CHECK(report.count("closed_by_host") == 0);
  CHECK(report.count("connections") == 1);
}

TEST_CASE("iso8583.heartbeats go on, each after the answer to the one before") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host;
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].sessions = 2;
  set_echo_test(config.upstreams[0], 20, 0);
  EngineProcess engine(folder, config);
  engine.await_sessions(2);
  host.await_count("echo_tests", 10);
  {
    Requester requester(config);
    CHECK(authorize(requester, 1).outcome == TMX_ANSWERED);
  }
  CHECK(engine.log().count("event=session_lost") == 0);
  const auto status = acquirer_status(config);
  CHECK(status.sessions_ready == 2);
  CHECK(status.unsolicited == 0);
  CHECK(engine.stop() == 0);
  CHECK(host.stop_and_report().count("connections") == 2);
}

TEST_CASE("iso8583.the host's echo tests are answered by the engine, also between requests") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--unsolicited-every", "3", "--own-message", "echo_test"});
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].auto_replies = {{.mti = "0800", .match = {{70, "301"}}, .set = {{39, "00"}}}};
  EngineProcess engine(folder, config);
  {
    Requester requester(config);
    for (std::uint32_t trace = 1; trace <= 60; ++trace) CHECK(authorize(requester, trace).outcome == TMX_ANSWERED);
  }
  // Its answers are messages of the connection as well, and bring on more.
  const auto report = host.await_report("20 echo tests of its own, all answered", [](const auto& now) {
    return now.count("unsolicited") >= 20 && now.count("unsolicited_answered") == now.count("unsolicited");
  });
  CHECK(report.count("unsolicited_refused") == 0);
  CHECK(report.count("responses_unmatched") == 0);
  CHECK(report.count_of("messages_by_type", "0100") == 60);
  const auto status = await_status(config, [](const auto& now) { return now.answered == 60; });
  CHECK(status.unsolicited == 0);
  CHECK(engine.stop() == 0);
}

TEST_CASE("iso8583.what no auto reply fits is not answered by the engine, and is counted") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--unsolicited-every", "1", "--own-message", "key_exchange"});
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].auto_replies = {{.mti = "0800", .match = {{70, "301"}}, .set = {{39, "00"}}}};
  EngineProcess engine(folder, config);
  {
    Requester requester(config);
    for (std::uint32_t trace = 1; trace <= 5; ++trace) CHECK(authorize(requester, trace).outcome == TMX_ANSWERED);
  }
  const auto status = await_status(config, [](const auto& now) { return now.unsolicited == 5; });
  CHECK(status.answered == 5);
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  CHECK(report.count("unsolicited") == 5);
  CHECK(report.count("responses") == 0);
}

}  // namespace tlsmux::test
