// What `tlsmux status` shows, of made-up values: some are words of others, and reach root's terminal.
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <csignal>
#include <string>

#include "client/cli/ports_report.hpp"
#include "client/cli/ports_text.hpp"
#include "client/cli/process_facts.hpp"
#include "client/cli/status_report.hpp"
#include "client/cli/status_text.hpp"
#include "client/cli/table.hpp"

namespace cli = tlsmux::client::cli;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;
constexpr const char* kPrintable =
    " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\n"
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// Orders to a terminal: an escape sequence, and one of a single byte in UTF-8.
std::string hostile(const std::string& name) { return name + "\x1b[2J\xc2\x9b\x7f"; }
std::string shown(const std::string& name) { return name + R"(\x1b[2J\xc2\x9b\x7f)"; }

cli::GroupStatus hostile_status() {
  cli::UpstreamStatus upstream;
  upstream.name = hostile("upstream");
  upstream.last_error_s = kNow - 1;
  upstream.last_error = hostile("error");
  upstream.endpoints.push_back({.address = hostile("endpoint"), .last_error_reason = "none"});
  upstream.sessions.push_back({.state = "ready",
                               .endpoint = {},
                               .address = hostile("address"),
                               .tls_version = hostile("version"),
                               .suite = hostile("suite")});
  return {.engine = {.group = hostile("group"), .state = "running"},
          .upstreams = {upstream},
          .clients = {{.pid = 1, .program = hostile("program")}}};
}

}  // namespace

TEST_CASE("client.status text and JSON give a terminal no orders") {
  const auto status = hostile_status();
  const auto text = cli::status_text(status, kNow);
  CHECK(text.find_first_not_of(kPrintable) == std::string::npos);
  for (const auto* const name : {"group", "upstream", "error", "endpoint", "address", "version", "suite", "program"}) {
    CHECK_MESSAGE(text.contains(shown(name)), name);
  }
  CHECK(cli::status_json({status}).find_first_not_of(kPrintable) == std::string::npos);
}

TEST_CASE("client.status and ports tell whose tables they show when no engine answers") {
  auto status = hostile_status();
  CHECK_FALSE(cli::status_text(status, kNow).contains("WARNING"));
  status.engine.answers = false;
  CHECK(cli::status_text(status, kNow)
            .contains("\nWARNING: no engine answers on the control socket; this is what the last one wrote\n"));
  status.engine.stranger = 1000;
  const auto* const warning =
      "\nWARNING: no engine answers on the control socket; these tables are of user 1000, and made up unless the last "
      "engine was that user's\n";
  CHECK(cli::status_text(status, kNow).contains(warning));
  CHECK(cli::ports_text({.engine = {.group = "g", .answers = false, .stranger = 1000}}, kNow).contains(warning));
  status.engine.stranger_name = "tlsmux";
  CHECK(cli::status_text(status, kNow).contains("; these tables are of user 1000 (tlsmux), and made up unless "));
}

TEST_CASE("client.status and ports say no more of an engine that does not answer than is known") {
  auto status = hostile_status();
  status.engine.pid = 4711;
  CHECK(cli::status_text(status, kNow).contains(": engine pid 4711, running, started "));
  status.engine.heartbeat_age_ns = 35'000'000'000;
  CHECK(cli::status_text(status, kNow).contains("\nWARNING: the engine's data loop has not moved for 35 s\n"));
  status.engine.answers = false;
  const std::string moved = "\nWARNING: by these tables its data loop last moved 35 s ago; there is ";
  const auto text_with = [&](cli::ProcessSight process) {
    status.engine.process = process;
    return cli::status_text(status, kNow);
  };
  CHECK(text_with(cli::ProcessSight::gone).contains(": engine pid 4711, last said: running, started "));
  CHECK(text_with(cli::ProcessSight::gone).contains(moved + "no process 4711\n"));
  CHECK(text_with(cli::ProcessSight::stopped).contains(moved + "a process 4711, stopped by a signal\n"));
  CHECK(text_with(cli::ProcessSight::there).contains(moved + "a process 4711\n"));
  CHECK(cli::status_json({status}).contains(R"("engine_process": "there")"));
  const cli::PortsReport ports{.engine = {.group = "g",
                                          .answers = false,
                                          .process = cli::ProcessSight::gone,
                                          .pid = 4711,
                                          .state = "running",
                                          .heartbeat_age_ns = 35'000'000'000}};
  CHECK(cli::ports_text(ports, kNow).contains(": engine pid 4711, last said: running, started "));
  CHECK(cli::ports_text(ports, kNow).contains(moved + "no process 4711\n"));
}

TEST_CASE("client.status says that an engine was restarted, and that it counts since then") {
  auto status = hostile_status();
  CHECK_FALSE(cli::status_text(status, kNow).contains("RESTARTED"));
  CHECK_FALSE(cli::status_text(status, kNow).contains("NOTE"));
  CHECK(cli::status_json({status}).contains(R"("restarts": 0)"));
  status.engine.restarts = 1;
  CHECK(cli::status_text(status, kNow)
            .contains(", RESTARTED once since tlsmuxd was started\nNOTE: all is counted since that start. What clients "
                      "were told when the engine before it died, MAYBE_SENT too, is in no counter"));
  status.engine.restarts = 12;
  CHECK(cli::status_text(status, kNow).contains(", RESTARTED 12 times since tlsmuxd was started\n"));
  CHECK(cli::ports_text({.engine = status.engine}, kNow).contains(", RESTARTED 12 times since tlsmuxd was started\n"));
  CHECK(cli::status_json({status}).contains(R"("restarts": 12)"));
}

TEST_CASE("client.status tells an upstream that drains from one that is drained") {
  auto status = hostile_status();
  auto& upstream = status.upstreams[0];
  upstream.name = "acquirer";
  const auto text = [&] { return cli::status_text(status, kNow); };
  const auto is_drained = [&] {
    const bool in_json = cli::status_json({status}).contains(R"("drained": true)");
    CHECK(in_json == text().contains("  DRAINED: takes no requests until `tlsmux drain --resume acquirer`\n"));
    return in_json;
  };
  CHECK_FALSE(text().contains("DRAIN"));
  upstream.draining = true;
  CHECK(text().contains("  DRAINING: takes no requests, and ends its sessions when those that it has are done\n"));
  CHECK_FALSE(is_drained());
  upstream.sessions.clear();
  CHECK(is_drained());
  for (auto* const open : {&upstream.in_flight, &upstream.queued}) {
    *open = 1;
    CHECK_FALSE(is_drained());
    *open = 0;
  }
  upstream.draining = false;
  CHECK_FALSE(is_drained());
}

TEST_CASE("client.status sees whether a process is there, stopped or gone") {
  CHECK(cli::sight_of(static_cast<std::uint32_t>(::getpid())) == cli::ProcessSight::there);
  CHECK(cli::sight_of(0) == cli::ProcessSight::gone);
  CHECK(cli::sight_of(UINT32_MAX) == cli::ProcessSight::gone);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, WUNTRACED) == child);
  CHECK(cli::sight_of(static_cast<std::uint32_t>(child)) == cli::ProcessSight::stopped);
  REQUIRE(::kill(child, SIGKILL) == 0);
  siginfo_t end{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &end, WEXITED | WNOWAIT) == 0);
  CHECK(cli::sight_of(static_cast<std::uint32_t>(child)) == cli::ProcessSight::gone);
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(cli::sight_of(static_cast<std::uint32_t>(child)) == cli::ProcessSight::gone);
}

TEST_CASE("client.status escapes lines and keeps their ends") {
  CHECK(cli::escaped_lines("a\x1b\n\nb\r\n") == "a\\x1b\n\nb\\x0d\n");
  CHECK(cli::escaped_lines("a\tb") == "a\\x09b");
  CHECK(cli::escaped_lines("").empty());
}
