#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/tls/cipher_suites.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using config::TlsSettings;
using config::TlsVersion;
using engine::tls::OpenState;

struct Combination {
  int version;
  std::string openssl_suite;
  std::string iana_suite;
  KeyKind key;
};

const Combination kCombinations[] = {
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", KeyKind::p256},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", KeyKind::rsa},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", KeyKind::p384},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", KeyKind::p256},
    {TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", KeyKind::p384},
    {TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", KeyKind::p256},
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", KeyKind::rsa},
    {TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", KeyKind::rsa},
    {TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", KeyKind::rsa},
};

HostSettings host_settings(const Combination& combination) {
  HostSettings settings{.version_min = combination.version, .version_max = combination.version};
  (combination.version == TLS1_3_VERSION ? settings.suites_1_3 : settings.suites_1_2) = combination.openssl_suite;
  return settings;
}

void talk(TlsPair& pair, std::size_t step) {
  pair.seal({"one ", "two ", "three"});
  CHECK(pair.host().received() == "one two three");
  pair.host().write("an answer");
  REQUIRE(pair.open_all(step));
  CHECK(pair.received() == "an answer");

  SSL_shutdown(pair.host().ssl());
  CHECK(pair.open_all(step) == OpenState::closed_by_peer);
  pair.session().close_notify(pair.wire());
  pair.flush(step);
  CHECK(pair.host().closed_by_client());
  CHECK_FALSE(pair.host().failed());
}

TEST_CASE("tls.handshake works with OpenSSL in both versions and with every suite") {
  for (const auto& combination : kCombinations) {
    CAPTURE(combination.openssl_suite);
    const auto client = make_client();
    OpenSslHost host(host_identity(combination.key), host_settings(combination));
    TlsPair pair(*client, host, kHostName);
    const auto done = pair.shake_hands();
    if (!done) FAIL(done.error().words);

    const auto facts = pair.session().peer_facts();
    CHECK(facts.version == (combination.version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2"));
    CHECK(facts.suite == combination.iana_suite);
    CHECK(facts.certificate_expires_s > 0);
    CHECK_FALSE(facts.resumed);
    CHECK(host.received_server_name() == kHostName);
    talk(pair, 1 << 20);
  }
}

TEST_CASE("tls.handshake and data come through fed one byte at a time") {
  for (const auto& combination : kCombinations) {
    CAPTURE(combination.openssl_suite);
    OpenSslHost host(host_identity(combination.key), host_settings(combination));
    const auto client = make_client();
    TlsPair pair(*client, host);
    const auto done = pair.shake_hands(1);
    if (!done) FAIL(done.error().words);
    talk(pair, 1);
  }
}

TEST_CASE("tls.handshake takes the group that the host insists on") {
  for (const std::string group : {"X25519", "P-256", "P-384"}) {
    CAPTURE(group);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      const auto client = make_client();
      OpenSslHost host(host_identity(), {.version_min = version, .version_max = version, .groups = group});
      TlsPair pair(*client, host);
      CHECK(pair.shake_hands());
    }
  }
}

TEST_CASE("tls.handshake with a host that signs with PSS in TLS 1.2 works at the second try") {
  OpenSslHost host(host_identity(KeyKind::rsa),
                   {.version_max = TLS1_2_VERSION, .options = SSL_OP_CIPHER_SERVER_PREFERENCE});
  const auto client = make_client();
  TlsPair first(*client, host);
  const auto done = first.shake_hands();
  if (!done) CHECK(done.error().words.contains("RSA-PSS"));  // mbedTLS 3.6.6; others know PSS in TLS 1.2
  TlsPair second(*client, host);
  CHECK(second.shake_hands());
}

TEST_CASE("tls.handshake prefers TLS 1.3 and keeps to the configured versions") {
  OpenSslHost host(host_identity());
  const auto version_with = [&](const TlsSettings& settings) {
    const auto client = make_client(settings);
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    return pair.session().peer_facts().version;
  };
  CHECK(version_with({}) == "TLSv1.3");
  CHECK(version_with(versions(TlsVersion::tls_1_2, TlsVersion::tls_1_2)) == "TLSv1.2");
  CHECK(version_with(versions(TlsVersion::tls_1_3, TlsVersion::tls_1_3)) == "TLSv1.3");
}

TEST_CASE("tls.handshake verifies a literal address and sends none as server name") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    // P-384 makes the client say hello twice in TLS 1.3: neither may carry the address.
    OpenSslHost host(host_identity(), {.version_min = version, .version_max = version, .groups = "P-384"});
    const auto client = make_client();
    for (const std::string address : {"192.0.2.7", "2001:db8::7", "2001:0db8:0:0:0:0:0:7"}) {
      CAPTURE(address);
      TlsPair pair(*client, host, address);
      CHECK(pair.shake_hands());
      CHECK(host.received_server_name().empty());
    }
    for (const std::string address : {"192.0.2.8", "2001:db8::8"}) {
      CAPTURE(address);
      TlsPair pair(*client, host, address);
      const auto done = pair.shake_hands();
      REQUIRE_FALSE(done);
      CHECK(done.error().reason == shm::Reason::certificate_wrong_name);
      CHECK(done.error().words.contains(address));
    }
  }
}

TEST_CASE("tls.handshake sends a name without its final dot, and any case of it matches") {
  OpenSslHost host(host_identity(), {.server_name = "host.example"});
  const auto client = make_client();
  TlsPair pair(*client, host, "host.example.");
  CHECK(pair.shake_hands());
  OpenSslHost any_host(host_identity());
  TlsPair other_case(*client, any_host, "HOST.Example");
  CHECK(other_case.shake_hands());
}

TEST_CASE("tls.handshake presents the client certificate that the host demands") {
  const Identity identity = authority().issue({.common_name = "client", .alternative_names = ""});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    OpenSslHost host(host_identity(),
                     {.version_min = version, .version_max = version, .client_authority = &authority()});
    auto material = trusting_material();
    add_certificate(material, identity);
    const auto client = make_client({}, material);
    TlsPair pair(*client, host);
    const auto done = pair.shake_hands();
    if (!done) FAIL(done.error().words);
    REQUIRE(pair.open_all());
    const Certificate presented(SSL_get1_peer_certificate(pair.host().ssl()));
    REQUIRE(presented != nullptr);
    CHECK(X509_cmp(presented.get(), identity.certificate.get()) == 0);
  }
}

TEST_CASE("tls.handshake trusts anybody when told not to verify") {
  const Authority stranger("a stranger");
  const Identity identity = stranger.issue({.common_name = "other", .alternative_names = "", .ends_s = -60});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    OpenSslHost host(identity, {.version_min = version, .version_max = version});
    TlsSettings settings;
    settings.verify_peer = false;
    const auto client = make_client(settings, {});
    for (const std::string name : {"host.example", "192.0.2.7", ""}) {
      TlsPair pair(*client, host, name);
      CHECK(pair.shake_hands());
    }
  }
}

TEST_CASE("tls.handshake may be made on many threads with one client") {
  const Identity identity = authority().issue({.common_name = "client", .key = KeyKind::rsa});
  auto material = trusting_material();
  add_certificate(material, identity);
  const auto client = make_client({}, material);
  host_identity();  // made before the threads
  std::atomic<int> done = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        OpenSslHost host(host_identity(), {.version_min = TLS1_3_VERSION, .client_authority = &authority()});
        for (int round = 0; round < 3; ++round) {
          TlsPair pair(*client, host);
          if (pair.shake_hands() && pair.open_all()) ++done;
        }
      });
    }
  }
  CHECK(done == 12);
}

TEST_CASE("tls.handshake offers ephemeral AEAD suites and nothing else") {
  const auto suites = engine::tls::suite_numbers({}).value();
  CHECK(suites.size() > 1);
  for (const int suite : suites) {
    if (suite == 0) continue;
    const std::string name = engine::tls::cipher_suite_name(suite);
    CAPTURE(name);
    CHECK((name.contains("_GCM_") || name.contains("POLY1305")));
    CHECK((suite < 0x1400 || name.contains("ECDHE")));
  }
}

}  // namespace
}  // namespace tlsmux::test
