// Hosts to which no session comes up: the request is NOT_SENT, with the reason in words.

#include <doctest/doctest.h>

#include "tests/faults/unusable_host.hpp"
#include "tests/host/host_process.hpp"
#include "tests/system/await.hpp"
#include "tests/system/engine_config.hpp"
#include "tests/system/group_status.hpp"
#include "tests/system/requester.hpp"
#include "tests/system/residue.hpp"

namespace tlsmux::test {
namespace {

// With the arguments of a tlsmux-host and a change to the upstream's settings.
template <typename Change>
void check_host(std::vector<std::string> arguments, Change change, tmx_reason reason, std::string_view words) {
  const Residue residue;
  const TemporaryFolder folder;
  arguments.insert(arguments.end(), {"--mode", "echo"});
  const host::HostProcess host(arguments);
  auto config = engine_config(folder, {host.port()});
  change(config.upstreams[0]);
  EngineProcess engine(folder, config);
  check_not_sent(engine, config, reason, words);
  CHECK(engine.stop() == 0);
}

std::vector<std::string> with_certificate(const std::string& name) {
  return {"--certificate", host::certificate_file(name + ".pem"), "--key", host::certificate_file(name + ".key")};
}

constexpr auto kNoChange = [](config::UpstreamSettings&) {};

}  // namespace

TEST_CASE("faults.the host refuses connections") {
  const Residue residue;
  const TemporaryFolder folder;
  const ClosedPort closed;
  const auto config = engine_config(folder, {closed.port()});
  EngineProcess engine(folder, config);
  check_not_sent(engine, config, TMX_REASON_CONNECT_REFUSED, "connect: Connection refused");
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.the host does not answer the connect") {
  const Residue residue;
  const TemporaryFolder folder;
  const BlackHole hole;
  auto config = engine_config(folder, {hole.port()});
  config.upstreams[0].timeouts.connect_ms = 300;
  EngineProcess engine(folder, config);
  check_not_sent(engine, config, TMX_REASON_CONNECT_TIMEOUT, "the connect took too long");
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.the host's name does not resolve") {
  const Residue residue;
  const TemporaryFolder folder;
  auto config = engine_config(folder, {443});
  config.upstreams[0].endpoints[0].host = "no-such-host.invalid";  // RFC 2606 section 2
  config.upstreams[0].timeouts.connect_ms = 500;
  EngineProcess engine(folder, config);
  check_not_sent(engine, config, TMX_REASON_NAME_NOT_RESOLVED, "");
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.the host stalls the handshake") {
  check_host(
      {"--handshake-stall"}, [](auto& upstream) { upstream.timeouts.handshake_ms = 300; }, TMX_REASON_HANDSHAKE_TIMEOUT,
      "the TLS handshake took too long");
}

TEST_CASE("faults.the host's certificate is by an authority that is not trusted") {
  check_host(with_certificate("untrusted"), kNoChange, TMX_REASON_CERTIFICATE_UNTRUSTED,
             "is signed by no CA that is trusted here (issuer CN=another test authority; ca_file " +
                 host::certificate_file("ca.pem") + ")");
}

TEST_CASE("faults.the host's certificate is for another name") {
  check_host(with_certificate("wrongname"), kNoChange, TMX_REASON_CERTIFICATE_WRONG_NAME, "wrong.example");
}

TEST_CASE("faults.the host's certificate is for another name than server_name") {
  check_host(
      {}, [](auto& upstream) { upstream.tls.server_name = "other.example"; }, TMX_REASON_CERTIFICATE_WRONG_NAME,
      "other.example");
}

TEST_CASE("faults.the host's certificate is expired") {
  check_host(with_certificate("expired"), kNoChange, TMX_REASON_CERTIFICATE_EXPIRED, "expired on 2021-01-01");
}

TEST_CASE("faults.the host speaks older versions of TLS only") {
  check_host(
      {"--tls", "1.2"}, [](auto& upstream) { upstream.tls.version_min = config::TlsVersion::tls_1_3; },
      TMX_REASON_NO_COMMON_VERSION, "TLS 1.3");
}

TEST_CASE("faults.the host speaks newer versions of TLS only") {
  check_host(
      {"--tls", "1.3"}, [](auto& upstream) { upstream.tls.version_max = config::TlsVersion::tls_1_2; },
      TMX_REASON_NO_COMMON_VERSION, "TLS 1.2");
}

TEST_CASE("faults.the host offers suites only that are not allowed here") {
  check_host({"--tls", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-SHA256"}, kNoChange, TMX_REASON_NO_COMMON_SUITE,
             "ECDHE with AES-GCM or ChaCha20-Poly1305");
}

TEST_CASE("faults.the host demands a client certificate and none is configured, TLS 1.2") {
  check_host({"--tls", "1.2", "--client-certificate", "require", "--ca", host::certificate_file("ca.pem")}, kNoChange,
             TMX_REASON_CERTIFICATE_REJECTED_BY_HOST, "the host demands a client certificate and none is configured");
}

// TLS 1.3 lets the host check our certificate after our handshake is done (RFC 8446 section 4.4.2.4): the session is up
// for a moment, in which a request may be sent.
TEST_CASE("faults.the host demands a client certificate and none is configured, TLS 1.3") {
  const Residue residue;
  const TemporaryFolder folder;
  const host::HostProcess host(
      {"--mode", "echo", "--tls", "1.3", "--client-certificate", "require", "--ca", host::certificate_file("ca.pem")});
  auto config = engine_config(folder, {host.port()});
  config.upstreams[0].backoff = {.initial_ms = 20, .max_ms = 60'000, .jitter_percent = 0};
  EngineProcess engine(folder, config);
  constexpr std::string_view kWords = "the host demands a client certificate and none is configured";
  Requester requester(config);
  for (int i = 0; i < 10; ++i) {
    const auto ended = requester.ask("a request");
    CHECK((ended.outcome == TMX_NOT_SENT || ended.outcome == TMX_MAYBE_SENT));
    CHECK(ended.reason == TMX_REASON_CERTIFICATE_REJECTED_BY_HOST);
  }
  await([&] { return requester.upstream_error().find(kWords) != std::string::npos; });
  // The pauses grow, although each time a session was up for a moment.
  engine.log().wait_for("retry_in_ms=320");
  CHECK(requester.ask("a request").outcome == TMX_NOT_SENT);
  const auto facts = upstream_facts(config.groups[0].name, config.upstreams[0].name);
  CHECK(facts.last_error_reason == shm::Reason::certificate_rejected_by_host);
  CHECK(facts.answered == 0);
  CHECK(engine.stop() == 0);
}

TEST_CASE("faults.the host demands a client certificate and one is configured") {
  const Residue residue;
  const TemporaryFolder folder;
  for (const auto* version : {"1.2", "1.3"}) {
    const auto report = folder.path() + "/report-" + version;
    host::HostProcess host({"--mode", "echo", "--tls", version, "--client-certificate", "require", "--ca",
                            host::certificate_file("ca.pem"), "--report", report});
    auto config = engine_config(folder, {host.port()});
    config.upstreams[0].tls.certificate_file = host::certificate_file("client.pem");
    config.upstreams[0].tls.key_file = host::certificate_file("client.key");
    EngineProcess engine(folder, config);
    Requester requester(config);
    const auto ended = requester.ask("a request");
    CHECK(ended.outcome == TMX_ANSWERED);
    CHECK(ended.answer == "a request");
    CHECK(engine.stop() == 0);
    CHECK(host.stop() == 0);
    CHECK(host::read_file(report).find("CN=tlsmux-client") != std::string::npos);
  }
}

}  // namespace tlsmux::test
