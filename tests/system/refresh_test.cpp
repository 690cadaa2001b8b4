// `tlsmux refresh` and SIGHUP: a running engine changes over to another configuration, all of it or nothing.

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "tests/faults/rig.hpp"
#include "tests/system/command.hpp"

namespace tlsmux::test {
namespace {

CommandResult refresh(const Rig& rig, const std::string& arguments = {}) {
  return run_tlsmux("refresh --control-socket " + rig.config.engine.control_socket + " " + arguments);
}

void write_text(const Rig& rig, const std::string& text) {
  const auto path = rig.folder.path() + "/" + rig.group() + ".json";
  std::filesystem::remove(path);
  REQUIRE(rig.folder.add(rig.group() + ".json", text, 0644) == path);
}

void write_config(const Rig& rig, const config::Config& config) { write_text(rig, config_text(config)); }

}  // namespace

TEST_CASE("outcome.refresh applies limits at once, and only when it is no dry run") {
  Rig rig({"--silent-after", "0"});
  rig.engine().await_sessions(1);
  auto changed = rig.config;
  changed.upstreams[0].in_flight_max = 1;
  changed.upstreams[0].queue_max = 1;
  write_config(rig, changed);

  auto done = refresh(rig, "--dry-run");
  CHECK(done.exit_code == 0);
  CHECK(done.text ==
        "upstream \"acquirer\": in_flight_max 256 -> 1 (at once)\n"
        "upstream \"acquirer\": queue_max 4096 -> 1 (at once)\n"
        "2 changes, all of which can be applied to a running engine\n"
        "dry run: nothing was applied\n");
  Requester requester(rig.config);
  for (std::uint64_t tag = 1; tag <= 3; ++tag) REQUIRE(requester.submit("silence", tag) == 0);
  rig.await_received(3);

  done = refresh(rig);
  CHECK(done.exit_code == 0);
  CHECK(done.text.ends_with("2 changes, all of which can be applied to a running engine\napplied\n"));
  REQUIRE(requester.submit("waits", 4) == 0);
  REQUIRE(requester.submit("too many", 5) == 0);
  const auto refused = requester.take_one();
  CHECK(refused.tag == 5);
  CHECK(refused.reason == TMX_REASON_OVERLOAD);
  CHECK(refresh(rig).text == "nothing changes\n");
  rig.stop();
}

TEST_CASE("outcome.refresh with an error leaves everything as it was, and says every error") {
  Rig rig({"--mode", "echo"});
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  auto changed = rig.config;
  changed.upstreams[0].tls.ca_file = rig.folder.path() + "/missing.pem";
  changed.upstreams[0].queue_max = 0;
  write_config(rig, changed);
  auto done = refresh(rig);
  CHECK(done.exit_code == 1);
  CHECK_MESSAGE(done.text.find("/upstreams/0/tls/ca_file: ") != std::string::npos, done.text);
  CHECK(done.text.find("/upstreams/0/queue_max: ") != std::string::npos);
  CHECK(done.text.ends_with("nothing was applied: the engine goes on with the configuration that it has\n"));
  done = refresh(rig, "--json");
  CHECK(done.exit_code == 1);
  CHECK(done.text.find("\"applied\": false") != std::string::npos);

  write_text(rig, "{");
  CHECK(refresh(rig).exit_code == 1);
  // One change that is not live keeps all others out.
  changed = rig.config;
  changed.upstreams[0].queue_max = 1;
  changed.engine.worker_threads = 3;
  write_config(rig, changed);
  done = refresh(rig);
  CHECK(done.exit_code == 1);
  CHECK(
      done.text.find(
          "engine: worker_threads 2 -> 3 (needs a restart: threads are started once; see /engine/worker_threads)\n") !=
      std::string::npos);
  CHECK(requester.ask("still here").outcome == TMX_ANSWERED);
  CHECK(rig.engine().log().count("event=session_ready") == 1);
  rig.stop();
}

TEST_CASE("outcome.refresh reads certificates again without ending a session") {
  const TemporaryFolder certificates;
  const auto own = [&](const char* name) {
    const auto path = certificates.path() + "/" + name;
    std::filesystem::copy_file(host::certificate_file(name), path);
    std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  };
  const auto certificate = own("client.pem");
  const auto key = own("client.key");
  Rig rig({"--mode", "echo"}, [&](config::Config& config) {
    config.upstreams[0].tls.certificate_file = certificate;
    config.upstreams[0].tls.key_file = key;
  });
  rig.engine().await_sessions(1);
  Requester requester(rig.config);
  CHECK(refresh(rig).text == "nothing changes\n");

  const auto replace = [&](const char* name, const std::string& path) {
    std::filesystem::copy_file(host::certificate_file(name), path, std::filesystem::copy_options::overwrite_existing);
  };
  replace("server.pem", certificate);
  auto done = refresh(rig);
  CHECK(done.exit_code == 1);  // the key is that of another certificate
  CHECK_MESSAGE(done.text.starts_with("upstream acquirer: "), done.text);
  replace("server.key", key);
  done = refresh(rig);
  CHECK(done.exit_code == 0);
  CHECK_MESSAGE(
      done.text.find("upstream \"acquirer\": tls.certificate_file has another content (for new sessions)\n") !=
          std::string::npos,
      done.text);
  CHECK(done.text.find("tls.key_file has another content") != std::string::npos);
  CHECK(requester.ask("the same session").outcome == TMX_ANSWERED);
  CHECK(rig.engine().log().count("event=session_ready") == 1);
  CHECK(rig.engine().log().count("event=session_closed") == 0);
  rig.stop();
}

TEST_CASE("outcome.refresh that adds the certificate that the host demands ends a pause of a day") {
  constexpr std::uint32_t kDayMs = 86'400'000;
  for (const char* version : {"1.2", "1.3"}) {
    CAPTURE(version);
    Rig rig({"--mode", "echo", "--tls", version, "--client-certificate", "require", "--ca",
             host::certificate_file("ca.pem")},
            [](config::Config& config) {
              config.upstreams[0].backoff = {.initial_ms = kDayMs, .max_ms = kDayMs, .jitter_percent = 0};
            });
    Requester requester(rig.config);
    rig.engine().log().wait_for("reason=certificate_rejected_by_host");
    await([&] { return requester.ask("in vain").reason == TMX_REASON_CERTIFICATE_REJECTED_BY_HOST; });
    auto changed = rig.config;
    changed.upstreams[0].tls.certificate_file = host::certificate_file("client.pem");
    changed.upstreams[0].tls.key_file = host::certificate_file("client.key");
    write_config(rig, changed);
    const auto done = refresh(rig);
    CHECK_MESSAGE(done.exit_code == 0, done.text);
    CHECK(requester.ask("hello").outcome == TMX_ANSWERED);
    rig.stop();
  }
}

TEST_CASE("outcome.refresh takes a certificate that has expired, as the start does, and both warn of it") {
  Rig rig({"--mode", "echo"}, [&](config::Config& config) {
    config.upstreams[0].tls.certificate_file = host::certificate_file("expired.pem");
    config.upstreams[0].tls.key_file = host::certificate_file("expired.key");
  });
  const auto line = rig.engine().log().wait_for("event=config_warning");
  CHECK_MESSAGE(line.find("expired on 2021-01-01 00:00 UTC") != std::string::npos, line);
  rig.engine().await_sessions(1);
  const auto warning = "/upstreams/0/tls/certificate_file: \"" + host::certificate_file("expired.pem") +
                       "\" expired on 2021-01-01 00:00 UTC: hosts that ask for a certificate reject it";
  CHECK(refresh(rig).text == "nothing changes\nwarning: " + warning + "\n");
  const auto json = refresh(rig, "--json").text;
  CHECK_MESSAGE(json.find("\"warnings\": [\n    \"/upstreams/0/tls/certificate_file: ") != std::string::npos, json);
  rig.stop();
}

TEST_CASE("outcome.refresh moves sessions to other endpoints, and no request is lost") {
  Rig rig({"--mode", "echo"}, [](config::Config& config) { config.upstreams[0].sessions = 2; });
  const host::HostProcess other({"--mode", "echo", "--message-bytes-max", "65535"});
  rig.engine().await_sessions(2);
  Requester requester(rig.config);
  CHECK(requester.ask("here").outcome == TMX_ANSWERED);
  auto changed = rig.config;
  changed.upstreams[0].endpoints[0].port = other.port();
  write_config(rig, changed);
  const auto done = refresh(rig);
  CHECK_MESSAGE(done.exit_code == 0, done.text);
  std::uint64_t asked = 0;
  await([&] {
    CHECK(requester.ask("on the way").outcome == TMX_ANSWERED);
    ++asked;
    return rig.engine().log().count("event=session_closed") == 2;
  });
  rig.engine().await_sessions(4);
  const auto before = rig.received();
  CHECK(before <= asked + 1);
  CHECK(requester.ask("there").outcome == TMX_ANSWERED);
  CHECK(rig.received() == before);
  rig.stop();
}

TEST_CASE("outcome.refresh by SIGHUP, and an engine that is restarted has what was applied") {
  Rig rig({"--silent-after", "0"});
  rig.engine().await_sessions(1);
  auto changed = rig.config;
  changed.upstreams[0].timeouts.request_ms = 50;
  write_config(rig, changed);
  REQUIRE(::kill(rig.engine().broker_pid(), SIGHUP) == 0);
  rig.engine().log().wait_for("event=config_change ");
  rig.engine().log().wait_for("event=refreshed changes=1");
  {
    Requester requester(rig.config);
    CHECK(requester.ask("silence").reason == TMX_REASON_DEADLINE);
  }
  rig.engine().kill_engine();
  Requester requester(rig.config);
  rig.await_facts([](const auto& facts) { return facts.sessions_ready == 1; });
  CHECK(requester.ask("silence").reason == TMX_REASON_DEADLINE);
  rig.stop();
}

}  // namespace tlsmux::test
