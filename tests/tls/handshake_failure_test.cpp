#include <doctest/doctest.h>

#include <array>
#include <string>

#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using config::TlsVersion;
using engine::tls::HandshakeState;
using engine::tls::TlsError;
using shm::Reason;

constexpr std::array kVersions = {TLS1_2_VERSION, TLS1_3_VERSION};

HostSettings only(int version) { return {.version_min = version, .version_max = version}; }

TlsError failure_of(engine::tls::TlsClient& client, OpenSslHost& host, std::string_view name = kHostName) {
  TlsPair pair(client, host, name);
  const auto done = pair.shake_hands();
  REQUIRE_FALSE(done);
  // The host was told, and what failed stays failed.
  std::vector<std::byte> output;
  const auto again = pair.session().handshake({}, output);
  REQUIRE_FALSE(again);
  CHECK(again.error().words == done.error().words);
  return done.error();
}

TlsError failure_of(const Identity& identity, int version, std::string_view name = kHostName) {
  OpenSslHost host(identity, only(version));
  const auto client = make_client();
  return failure_of(*client, host, name);
}

TEST_CASE("tls.failure of the host's certificate has its own reason") {
  const Authority stranger("a stranger");
  for (const int version : kVersions) {
    const auto expired = failure_of(authority().issue({.starts_s = -200'000, .ends_s = -100'000}), version);
    CHECK(expired.reason == Reason::certificate_expired);
    CHECK(expired.words.contains("expired on 20"));
    CHECK(expired.words.contains("CN=host.example"));

    const auto future = failure_of(authority().issue({.starts_s = 100'000, .ends_s = 200'000}), version);
    CHECK(future.reason == Reason::certificate_expired);
    CHECK(future.words.contains("not valid before"));

    const auto untrusted = failure_of(stranger.issue({}), version);
    CHECK(untrusted.reason == Reason::certificate_untrusted);
    CHECK(untrusted.words.contains("CN=a stranger"));

    const auto wrong_name = failure_of(host_identity(), version, "other.example");
    CHECK(wrong_name.reason == Reason::certificate_wrong_name);
    CHECK(wrong_name.words.contains("not for \"other.example\" but for host.example"));
  }
}

TEST_CASE("tls.failure of an untrusted, expired certificate for another name is that of trust, and tells all") {
  const Authority stranger("a stranger");
  const auto error =
      failure_of(stranger.issue({.alternative_names = "DNS:else.example", .starts_s = -200'000, .ends_s = -100'000}),
                 TLS1_3_VERSION);
  CHECK(error.reason == Reason::certificate_untrusted);
  CHECK(error.words.contains("no CA that is trusted"));
  CHECK(error.words.contains("expired on"));
  CHECK(error.words.contains("else.example"));
}

TEST_CASE("tls.failure when only the common name fits") {
  const auto error = failure_of(authority().issue({.alternative_names = ""}), TLS1_3_VERSION);
  CHECK(error.reason == Reason::certificate_wrong_name);
  CHECK(error.words.contains("common name does not count"));
}

TEST_CASE("tls.failure shows no control characters that a host put into its certificate") {
  const Authority stranger("a stranger");
  const auto error = failure_of(
      stranger.issue({.common_name = "host\r\n\x1b[31m", .alternative_names = "DNS:host\x1b.example"}), TLS1_3_VERSION);
  for (const char byte : error.words) CHECK(static_cast<unsigned char>(byte) >= 0x20);
}

TEST_CASE("tls.failure when the host demands a client certificate and there is none") {
  for (const int version : kVersions) {
    HostSettings settings = only(version);
    settings.client_authority = &authority();
    OpenSslHost host(host_identity(), settings);
    const auto client = make_client();
    TlsPair pair(*client, host);
    auto done = pair.shake_hands();
    // In TLS 1.3 the host looks at it only when the client's handshake is over.
    if (done && version == TLS1_3_VERSION) {
      const auto opened = pair.open_all();
      REQUIRE_FALSE(opened);
      done = std::unexpected(opened.error());
    }
    REQUIRE_FALSE(done);
    CHECK(done.error().reason == Reason::certificate_rejected_by_host);
    CHECK(done.error().words.contains("none is configured"));
  }
}

// Of a host that asks for a certificate of authority() and is given this one. With TLS 1.3 it says so after the handshake.
std::string words_of_rejection(int version, const Identity& identity) {
  HostSettings settings = only(version);
  settings.client_authority = &authority();
  OpenSslHost host(host_identity(), settings);
  auto material = trusting_material();
  add_certificate(material, identity);
  const auto client = make_client({}, material);
  TlsPair pair(*client, host);
  auto done = pair.shake_hands();
  if (done && version == TLS1_3_VERSION) {
    const auto opened = pair.open_all();
    REQUIRE_FALSE(opened);
    done = std::unexpected(opened.error());
  }
  REQUIRE_FALSE(done);
  CHECK(done.error().reason == Reason::certificate_rejected_by_host);
  return done.error().words;
}

TEST_CASE("tls.failure when the host does not trust the client certificate") {
  const Authority stranger("a stranger");
  for (const int version : kVersions) {
    const auto words = words_of_rejection(version, stranger.issue({.common_name = "client"}));
    CHECK(words.contains("rejected our client certificate"));
  }
}

TEST_CASE("tls.failure when the client certificate has expired says since when") {
  for (const int version : kVersions) {
    const auto expired = authority().issue({.common_name = "client", .starts_s = -200'000, .ends_s = -100'000});
    const auto words = words_of_rejection(version, expired);
    CHECK(words.starts_with("the host rejected our client certificate, which expired on 20"));
  }
}

TEST_CASE("tls.failure when no version fits") {
  const auto check = [](const HostSettings& host_settings, TlsVersion min, TlsVersion max) {
    OpenSslHost host(host_identity(KeyKind::rsa), host_settings);
    const auto client = make_client(versions(min, max));
    const auto error = failure_of(*client, host);
    CHECK(error.reason == Reason::no_common_version);
  };
  check(only(TLS1_3_VERSION), TlsVersion::tls_1_2, TlsVersion::tls_1_2);
  check(only(TLS1_2_VERSION), TlsVersion::tls_1_3, TlsVersion::tls_1_3);
  check(only(TLS1_1_VERSION), TlsVersion::tls_1_2, TlsVersion::tls_1_3);
}

TEST_CASE("tls.failure when the host has only CBC, RSA key exchange or other groups") {
  const auto check = [](KeyKind key, const std::string& suites, const std::string& groups) {
    CAPTURE(suites);
    HostSettings settings = only(TLS1_2_VERSION);
    settings.suites_1_2 = suites;
    settings.groups = groups;
    OpenSslHost host(host_identity(key), settings);
    const auto client = make_client();
    const auto error = failure_of(*client, host);
    CHECK(error.reason == Reason::no_common_suite);
    CHECK(error.words.contains("never CBC or RSA key exchange"));
  };
  check(KeyKind::p256, "ECDHE-ECDSA-AES128-SHA256", "");
  check(KeyKind::rsa, "ECDHE-RSA-AES256-SHA384", "");
  check(KeyKind::rsa, "AES128-GCM-SHA256", "");
  check(KeyKind::rsa, "DHE-RSA-AES128-GCM-SHA256", "");
  check(KeyKind::rsa, "ECDHE-RSA-AES128-GCM-SHA256", "P-521");
}

TEST_CASE("tls.failure when TLS 1.2 goes without the extended master secret") {
  HostSettings settings = only(TLS1_2_VERSION);
  settings.options = SSL_OP_NO_EXTENDED_MASTER_SECRET;
  OpenSslHost host(host_identity(), settings);
  const auto client = make_client();
  TlsPair pair(*client, host);
  const auto done = pair.shake_hands();
  REQUIRE_FALSE(done);
  CHECK(done.error().reason == Reason::handshake_failed);
  CHECK(done.error().words.contains("extended master secret"));
  CHECK(pair.host().failed());  // it got the alert
}

TEST_CASE("tls.failure when the host does not know the name") {
  HostSettings settings;
  settings.server_name = "somebody.else";
  OpenSslHost host(host_identity(), settings);
  const auto client = make_client();
  const auto error = failure_of(*client, host);
  CHECK(error.reason == Reason::handshake_failed);
  CHECK(error.words.contains("does not know the server name"));
}

TEST_CASE("tls.failure when the host does not speak TLS") {
  for (const std::string text :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "0800822000000000000004"}) {
    const auto client = make_client();
    auto session = client->start(std::string(kHostName)).value();
    std::vector<std::byte> output;
    REQUIRE(session->handshake({}, output) == HandshakeState::wants_bytes);
    const auto failed = session->handshake(std::as_bytes(std::span(text)), output);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().reason == Reason::handshake_failed);
    CHECK(failed.error().words.contains("does not speak TLS"));
  }
}

TEST_CASE("tls.failure when the host says goodbye or raises an alert that has no name") {
  const auto answer = [](std::array<unsigned char, 7> record) {
    const auto client = make_client();
    auto session = client->start(std::string(kHostName)).value();
    std::vector<std::byte> output;
    REQUIRE(session->handshake({}, output));
    const auto failed = session->handshake(std::as_bytes(std::span(record)), output);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().reason == Reason::handshake_failed);
    return failed.error().words;
  };
  CHECK(answer({21, 3, 3, 0, 2, 1, 0}).contains("closed the session during the handshake"));
  CHECK(answer({21, 3, 3, 0, 2, 2, 80}).contains("alert internal_error"));
  CHECK(answer({21, 3, 3, 0, 2, 2, 200}).contains("alert 200"));
}

TEST_CASE("tls.handshake just waits when the host stalls at any byte") {
  for (const int version : kVersions) {
    OpenSslHost host(host_identity(), only(version));
    const auto client = make_client();
    auto session = client->start(std::string(kHostName)).value();
    OpenSslConnection connection(host);
    std::vector<std::byte> output;
    REQUIRE(session->handshake({}, output));
    connection.feed(output);
    const auto flight = connection.take_output();
    output.clear();
    // All but the last byte: nothing more is said, and nothing fails.
    for (const std::byte byte : std::span(flight).first(flight.size() - 1)) {
      CHECK(session->handshake(std::span(&byte, 1), output) == HandshakeState::wants_bytes);
      CHECK(session->handshake({}, output) == HandshakeState::wants_bytes);
    }
    CHECK(output.empty());
  }
}

TEST_CASE("tls.start refuses a name that cannot be verified") {
  const auto client = make_client();
  const auto nameless = client->start("");
  REQUIRE_FALSE(nameless);
  CHECK(nameless.error().words.contains("no server name"));
  const auto endless = client->start(std::string(300, 'a'));
  REQUIRE_FALSE(endless);
  CHECK(endless.error().words.contains("longer than"));
}

}  // namespace
}  // namespace tlsmux::test
