// Hosts that accept and then say nothing.

#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "tests/acquirer/acquirer_config.hpp"
#include "tests/acquirer/status_json.hpp"
#include "tests/acquirer/terminal.hpp"
#include "tests/host/test_messages.hpp"
#include "tests/system/engine_process.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint32_t kPatienceMs = 60'000;  // of a request that waits for something else than its deadline

}  // namespace

TEST_CASE(
    "faults.a host that is silent after the handshake gets no request, and the status says that it does not sign on") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--silent-after", "0"});
  auto config = acquirer_config(folder, {host.port()});
  auto& upstream = config.upstreams[0];
  set_sign_on(upstream, config::SignOnScope::session);
  upstream.timeouts.sign_on_ms = 100;
  EngineProcess engine(folder, config);
  engine.log().wait_for("event=session_failed");
  {
    Requester requester(config);
    const auto ended = authorize(requester, 1, kPatienceMs);
    CHECK(ended.outcome == TMX_NOT_SENT);
    CHECK(ended.reason == TMX_REASON_SIGN_ON_TIMEOUT);
    await([&] { return requester.upstream_error().contains("did not answer the sign-on in time"); });
  }
  const auto status = await_status(config, [](const auto& now) {
    return now.not_sent.contains("sign_on_timeout") && now.endpoints.at(0).is_out && now.sessions.size() == 1 &&
           now.sessions[0].state == "backing_off";
  });
  CHECK(status.sessions_ready == 0);
  CHECK(status.sessions_wanted == 1);
  CHECK(status.not_sent.at("sign_on_timeout") == 1);
  CHECK(status.maybe_sent.empty());
  CHECK(status.endpoints[0].last_error_reason == "sign_on_timeout");
  CHECK(status.endpoints[0].failures >= 1);
  CHECK(status.last_error_reason == "sign_on_timeout");
  check_status_text(config, {"0/1", "OUT: sign_on_timeout, failed", "not_sent: sign_on_timeout 1", "last error",
                             "sign_on_timeout (the host did not answer the sign-on in time)"});
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  CHECK(report.count_of("messages_by_type", "0100") == 0);
  CHECK(report.count_of("messages_by_type", "0800") >= 1);
}

TEST_CASE("faults.a host that answers no heartbeat is given up, what was sent to it is MAYBE_SENT and not sent again") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--silent-after", "0"});
  auto config = acquirer_config(folder, {host.port()});
  auto& upstream = config.upstreams[0];
  set_echo_test(upstream, 30, 0);
  upstream.heartbeat.answer_ms = 30;
  upstream.heartbeat.misses_max = 3;
  EngineProcess engine(folder, config);
  {
    Requester requester(config);
    const auto ended = authorize(requester, 1, kPatienceMs);
    CHECK(ended.outcome == TMX_MAYBE_SENT);
    CHECK(ended.reason == TMX_REASON_HEARTBEAT_MISSED);
  }
  const auto line = engine.log().wait_for("event=session_lost");
  CHECK(line.contains("reason=heartbeat_missed"));
  CHECK(line.contains("the host did not answer 3 heartbeats in a row"));
  const auto status = await_status(config, [](const auto& now) { return now.maybe_sent.contains("heartbeat_missed"); });
  CHECK(status.maybe_sent.at("heartbeat_missed") == 1);
  CHECK(status.not_sent.empty());
  CHECK(status.last_error_reason == "heartbeat_missed");
  check_status_text(config,
                    {"maybe_sent: heartbeat_missed 1", "heartbeat_missed (the host did not answer 3 heartbeats"});
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  CHECK(report.count_of("messages_by_type", "0100") == 1);
  CHECK(report.count_of("messages_by_type", "0800") >= 3);
}

TEST_CASE("faults.a host that is about to be given up shows it in the status") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host({"--silent-after", "0"});
  auto config = acquirer_config(folder, {host.port()});
  set_echo_test(config.upstreams[0], 20, 0);
  config.upstreams[0].heartbeat.answer_ms = 20;
  config.upstreams[0].heartbeat.misses_max = 100;
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  await_status(config, [](const auto& now) {
    return now.sessions.size() == 1 && now.sessions[0].state == "ready" && now.sessions[0].heartbeats_missed >= 2;
  });
  check_status_text(config, {"1/1", "heartbeats missed"});
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.a host that falls silent with requests in flight is given up after silence_ms") {
  const Residue residue;
  const TemporaryFolder folder;
  host::HostProcess host({"--silent-after", "1"});
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].timeouts.silence_ms = 150;
  EngineProcess engine(folder, config);
  {
    Requester requester(config);
    CHECK(authorize(requester, 1, kPatienceMs).outcome == TMX_ANSWERED);
    for (std::uint32_t trace = 2; trace <= 4; ++trace) {
      requester.submit_surely(host::request(trace), trace, kPatienceMs);
    }
    for (const auto& ended : requester.take(3)) {
      // The next session's first request is answered again, if one of them waited until then.
      const bool lost = ended.outcome == TMX_MAYBE_SENT && ended.reason == TMX_REASON_HOST_SILENT;
      CHECK((lost || ended.outcome == TMX_ANSWERED));
      if (ended.tag == 2) CHECK(lost);
    }
  }
  CHECK(engine.log().wait_for("event=session_lost").contains("reason=host_silent"));
  const auto status = await_status(config, [](const auto& now) { return now.maybe_sent.contains("host_silent"); });
  CHECK(status.not_sent.empty());
  CHECK(status.last_error_reason == "host_silent");
  check_status_text(config, {"maybe_sent: host_silent", "host_silent (the host sent nothing for silence_ms while"});
  CHECK(engine.stop() == 0);
  CHECK(host.stop_and_report().count_of("messages_by_type", "0100") == 4);
}

}  // namespace tlsmux::test
