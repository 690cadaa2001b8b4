// Sign-on and sign-off, as the host sees them.

#include <algorithm>
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

// The host takes nothing before a sign-on.
host::HostProcess strict_host(const std::string& rule, std::vector<std::string> arguments = {}) {
  arguments.insert(arguments.end(), {"--sign-on", rule, "--on-missing-sign-on", "close"});
  return host::HostProcess(arguments);
}

// So many at once, and all of them answered.
void authorize_many(Requester& requester, std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t trace = first; trace < first + count; ++trace) {
    requester.submit_surely(host::request(trace), trace, kPatienceMs);
  }
  for (const auto& ended : requester.take(count)) {
    REQUIRE(ended.outcome == TMX_ANSWERED);
    CHECK(is_answer_to(ended.answer, static_cast<std::uint32_t>(ended.tag)));
  }
}

}  // namespace

TEST_CASE("faults.a host that refuses the sign-on gets no request, and the status says which field refused it") {
  const Residue residue;
  const TemporaryFolder folder;
  auto host = strict_host("connection", {"--sign-on-code", "05"});
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].sessions = 2;
  set_sign_on(config.upstreams[0], config::SignOnScope::session);
  EngineProcess engine(folder, config);
  engine.log().wait_for("event=session_failed");
  {
    Requester requester(config);
    const auto ended = authorize(requester, 1, kPatienceMs);
    CHECK(ended.outcome == TMX_NOT_SENT);
    CHECK(ended.reason == TMX_REASON_SIGN_ON_REFUSED);
    await([&] { return requester.upstream_error().contains("refused the sign-on: field 39"); });
  }
  const auto status = await_status(config, [](const auto& now) {
    return now.not_sent.contains("sign_on_refused") && now.endpoints.at(0).is_out && now.endpoints[0].failures >= 2;
  });
  CHECK(status.sessions_ready == 0);
  CHECK(status.maybe_sent.empty());
  CHECK(status.endpoints[0].last_error_reason == "sign_on_refused");
  CHECK(status.last_error_reason == "sign_on_refused");
  check_status_text(config, {"0/2", "OUT: sign_on_refused, failed", "not_sent: sign_on_refused 1",
                             "sign_on_refused (the host refused the sign-on: field 39 of its answer"});
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  CHECK(report.count("sign_ons_refused") >= 2);
  CHECK(report.count("without_sign_on") == 0);
  CHECK(report.count_of("messages_by_type", "0100") == 0);
}

TEST_CASE("faults.a host that refuses the first sign-ons is used once it accepts one") {
  const Residue residue;
  const TemporaryFolder folder;
  auto host = strict_host("connection", {"--sign-on-code", "91", "--sign-on-refusals", "3"});
  auto config = acquirer_config(folder, {host.port()});
  set_sign_on(config.upstreams[0], config::SignOnScope::session);
  EngineProcess engine(folder, config);
  engine.await_sessions(1);
  CHECK(engine.log().count("reason=sign_on_refused") == 3);
  {
    Requester requester(config);
    CHECK(authorize(requester, 1, kPatienceMs).outcome == TMX_ANSWERED);
  }
  const auto status = await_status(config, [](const auto& now) { return now.answered == 1; });
  CHECK(status.sessions_ready == 1);
  CHECK(!status.endpoints.at(0).is_out);
  CHECK(engine.stop() == 0);
  CHECK(host.stop_and_report().count("sign_ons") == 4);
}

namespace {

// 32 authorizations over four sessions, to a host that wants a sign-on for each connection or once, then a good end.
host::HostReport serve_and_stop(const char* wanted_by_host, config::SignOnScope scope) {
  const Residue residue;
  const TemporaryFolder folder;
  auto host = strict_host(wanted_by_host);
  auto config = acquirer_config(folder, {host.port()});
  config.upstreams[0].sessions = 4;
  set_sign_on(config.upstreams[0], scope);
  EngineProcess engine(folder, config);
  {
    Requester requester(config);
    authorize_many(requester, 1, 16);
    engine.await_sessions(4);
    authorize_many(requester, 17, 16);
  }
  CHECK(engine.log().count("event=session_lost") == 0);
  CHECK(engine.stop() == 0);
  return host.stop_and_report();
}

}  // namespace

TEST_CASE("iso8583.each session signs on before it carries requests, and signs off when the engine stops") {
  const auto report = serve_and_stop("connection", config::SignOnScope::session);
  CHECK(report.count("connections") == 4);
  CHECK(report.count("sign_ons") == 4);
  CHECK(report.count("without_sign_on") == 0);
  CHECK(report.count("sign_offs") == 4);
  CHECK(report.count("closed_after_sign_off") == 4);
  CHECK(report.count_of("messages_by_type", "0100") == 32);
}

TEST_CASE("iso8583.an upstream signs on once for all its sessions, and signs off once") {
  const auto report = serve_and_stop("host", config::SignOnScope::upstream);
  CHECK(report.count("connections") == 4);
  CHECK(report.count("sign_ons") == 1);
  CHECK(report.count("without_sign_on") == 0);
  CHECK(report.count("sign_offs") == 1);
  CHECK(report.count("closed_by_peer") == 4);
}

TEST_CASE("faults.an engine that is stopped while the host keeps a sign-on waiting does not wait for it") {
  const Residue residue;
  const TemporaryFolder folder;
  auto host = strict_host("connection", {"--sign-on-code", "none"});
  auto config = acquirer_config(folder, {host.port()});
  set_sign_on(config.upstreams[0], config::SignOnScope::session);
  config.upstreams[0].timeouts.sign_on_ms = kPatienceMs;  // longer than a test waits for an end
  EngineProcess engine(folder, config);
  host.await_count("sign_ons", 1);
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  CHECK(report.count("closed_by_peer") == 1);
  CHECK(report.count("sign_offs") == 0);
}

TEST_CASE("iso8583.a session that is replaced signs off behind its last answer") {
  const Residue residue;
  const TemporaryFolder folder;
  auto host = strict_host("connection", {"--delay-us", "2000"});
  auto config = acquirer_config(folder, {host.port()});
  auto& upstream = config.upstreams[0];
  upstream.sessions = 2;
  upstream.sessions_max = 3;
  upstream.rotation.messages_max = 20;
  set_sign_on(upstream, config::SignOnScope::session);
  EngineProcess engine(folder, config);
  engine.await_sessions(2);
  {
    Requester requester(config);
    for (std::uint32_t round = 0; round < 10; ++round) authorize_many(requester, 1 + round * 16, 16);
    engine.log().wait_for("event=session_closed", 2);
  }
  // One may be on its way, or about to be, which would not sign off.
  host.await_report("each connection that is open has signed on, and no more than two are", [&](const auto& now) {
    const auto ended = now.count("closed_by_peer");
    const auto status = acquirer_status(config);
    const bool is_any_due = std::ranges::any_of(
        status.sessions, [&](const auto& session) { return session.requests >= upstream.rotation.messages_max; });
    return now.count("sign_ons") == now.count("connections") && now.count("connections") - ended == 2 &&
           status.sessions_ready == 2 && !is_any_due;
  });
  CHECK(engine.stop() == 0);
  const auto report = host.stop_and_report();
  CHECK(report.count("connections") >= 4);
  CHECK(report.count("sign_ons") == report.count("connections"));
  CHECK(report.count("without_sign_on") == 0);
  CHECK(report.count_of("messages_by_type", "0100") == 160);
  for (const auto& connection : report.connections()) {
    CAPTURE(connection.number);
    CHECK(connection.end == "closed_by_peer");
    CHECK(connection.sign_ons == 1);
    CHECK(connection.sign_offs == 1);
  }
}

}  // namespace tlsmux::test
