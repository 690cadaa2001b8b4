#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "config/tls_names.hpp"
#include "engine/tls/cipher_suites.hpp"
#include "engine/tls/handshake_message.hpp"
#include "engine/tls/key_exchange_groups.hpp"
#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using config::TlsVersion;
using engine::tls::cipher_suite_name;
using engine::tls::group_numbers;
using engine::tls::server_hello_suite;
using engine::tls::suite_numbers;
using engine::tls::TlsError;
using shm::Reason;

HostSettings only(int version) { return {.version_min = version, .version_max = version}; }

TEST_CASE("tls.suites of the configuration are those of the engine, in the same order") {
  std::vector<std::string> names;
  for (const auto name : config::suite_names()) names.emplace_back(name);
  const auto numbers = suite_numbers(names);
  REQUIRE(numbers);
  CHECK(numbers == suite_numbers({}));
  REQUIRE(numbers->size() == names.size() + 1);
  CHECK(numbers->back() == 0);
  for (std::size_t i = 0; i < names.size(); ++i) {
    CHECK(cipher_suite_name(numbers->at(i)) == names[i]);
    // The numbers of TLS 1.3 are 0x13.. (RFC 8446 appendix B.4).
    const bool is_1_3 = numbers->at(i) >> 8 == 0x13;
    CHECK(config::version_of_suite(names[i]) == (is_1_3 ? TlsVersion::tls_1_3 : TlsVersion::tls_1_2));
  }
  CHECK(suite_numbers(std::array<std::string, 1>{"TLS_RSA_WITH_AES_128_CBC_SHA"}).error() ==
        "TLS_RSA_WITH_AES_128_CBC_SHA");
  CHECK_FALSE(config::version_of_suite("TLS_RSA_WITH_AES_128_CBC_SHA"));
}

TEST_CASE("tls.groups of the configuration are those of the engine, in the same order") {
  std::vector<std::string> names;
  for (const auto name : config::kGroupNames) names.emplace_back(name);
  CHECK(group_numbers(names) == group_numbers({}));
  CHECK(group_numbers(names)->size() == names.size() + 1);
  CHECK(group_numbers(std::array<std::string, 1>{"ffdhe2048"}).error() == "ffdhe2048");
}

TEST_CASE("tls.suites are named also where they are not supported") {
  CHECK(cipher_suite_name(0x002F) == "TLS_RSA_WITH_AES_128_CBC_SHA");
  CHECK(cipher_suite_name(0xC027) == "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256");
  CHECK(cipher_suite_name(0xFFEE) == "0xFFEE");
}

TEST_CASE("tls.suites are the only ones that are agreed on, one by one") {
  for (const auto& suite : config::kSuiteNames) {
    const std::string name(suite.name);
    CAPTURE(name);
    const bool is_1_2 = suite.version == TlsVersion::tls_1_2;
    auto settings = versions(suite.version, suite.version);
    settings.suites = {name};
    HostSettings host_settings = only(is_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
    OpenSslHost host(host_identity(name.contains("_RSA_") ? KeyKind::rsa : KeyKind::p256), host_settings);
    const auto client = make_client(settings);
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    REQUIRE(pair.open_all());
    CHECK(pair.session().peer_facts().suite == name);
    CHECK(SSL_CIPHER_standard_name(SSL_get_current_cipher(pair.host().ssl())) == name);
    pair.seal({"hello"});
    CHECK(pair.host().received() == "hello");
    pair.host().write("and back");
    REQUIRE(pair.open_all());
    CHECK(pair.received() == "and back");
  }
}

TEST_CASE("tls.suites are offered in their order") {
  auto settings = versions(TlsVersion::tls_1_3, TlsVersion::tls_1_3);
  settings.suites = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"};
  for (int i = 0; i < 2; ++i) {
    OpenSslHost host(host_identity());  // which follows the client's preference
    const auto client = make_client(settings);
    TlsPair pair(*client, host);
    REQUIRE(pair.shake_hands());
    CHECK(pair.session().peer_facts().suite == settings.suites[0]);
    std::swap(settings.suites[0], settings.suites[1]);
  }
}

TEST_CASE("tls.groups are the only ones that are agreed on, one by one, in both versions") {
  struct Expected {
    std::string name;
    int openssl_group;
  };
  const std::array<Expected, 3> groups = {
      {{"x25519", NID_X25519}, {"secp256r1", NID_X9_62_prime256v1}, {"secp384r1", NID_secp384r1}}};
  REQUIRE(groups.size() == config::kGroupNames.size());
  for (const auto version : {TlsVersion::tls_1_2, TlsVersion::tls_1_3}) {
    for (const auto& group : groups) {
      CAPTURE(group.name);
      auto settings = versions(version, version);
      settings.groups = {group.name};
      // In TLS 1.2 the groups also limit the curves of ECDSA keys (RFC 8422 section 5.1).
      OpenSslHost host(host_identity(KeyKind::rsa));
      const auto client = make_client(settings);
      TlsPair pair(*client, host);
      REQUIRE(pair.shake_hands());
      CHECK(SSL_get_negotiated_group(pair.host().ssl()) == group.openssl_group);
    }
  }
}

TEST_CASE("tls.groups are tried again when the host wants another one than the first") {
  auto settings = versions(TlsVersion::tls_1_3, TlsVersion::tls_1_3);
  settings.groups = {"x25519", "secp384r1"};
  HostSettings host_settings;
  host_settings.groups = "P-384";
  OpenSslHost host(host_identity(), host_settings);
  const auto client = make_client(settings);
  TlsPair pair(*client, host);
  REQUIRE(pair.shake_hands());
  CHECK(SSL_get_negotiated_group(pair.host().ssl()) == NID_secp384r1);
}

TlsError failure_of(const config::TlsSettings& settings, const HostSettings& host_settings,
                    KeyKind key = KeyKind::rsa) {
  OpenSslHost host(host_identity(key), host_settings);
  const auto client = make_client(settings);
  TlsPair pair(*client, host);
  const auto done = pair.shake_hands();
  REQUIRE_FALSE(done);
  return done.error();
}

TEST_CASE("tls.suites that the host has none of are all named") {
  auto settings = versions(TlsVersion::tls_1_2, TlsVersion::tls_1_3);
  settings.suites = {"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"};
  settings.groups = {"secp384r1"};
  HostSettings host_settings = only(TLS1_3_VERSION);
  host_settings.suites_1_3 = "TLS_AES_256_GCM_SHA384";
  const auto error = failure_of(settings, host_settings);
  CHECK(error.reason == Reason::no_common_suite);
  CHECK(
      error.words.contains("which are TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, on secp384r1: "
                           "alert handshake_failure"));

  HostSettings host_1_2 = only(TLS1_2_VERSION);
  host_1_2.suites_1_2 = "ECDHE-RSA-AES256-GCM-SHA384";
  CHECK(failure_of(settings, host_1_2).reason == Reason::no_common_suite);

  HostSettings other_group;
  other_group.groups = "P-256";
  const auto groups = failure_of(settings, other_group);
  CHECK(groups.reason == Reason::no_common_suite);
  CHECK(groups.words.contains("on secp384r1"));
}

// A ServerHello of TLS 1.2 (RFC 5246 section 7.4.1.3) in one record.
std::vector<std::uint8_t> server_hello(std::uint16_t suite) {
  std::vector<std::uint8_t> message = {2, 0, 0, 38, 3, 3};
  message.resize(message.size() + 32);  // random
  message.push_back(0);                 // no session
  message.push_back(static_cast<std::uint8_t>(suite >> 8));
  message.push_back(static_cast<std::uint8_t>(suite & 0xff));
  message.push_back(0);  // no compression
  return message;
}

TEST_CASE("tls.suites that the host chooses without having been offered them are named") {
  const auto answer = [](std::uint16_t suite, const config::TlsSettings& settings) {
    const auto client = make_client(settings);
    auto session = client->start(std::string(kHostName)).value();
    std::vector<std::byte> output;
    REQUIRE(session->handshake({}, output));
    const auto message = server_hello(suite);
    std::vector<std::uint8_t> record = {22, 3, 3, 0, static_cast<std::uint8_t>(message.size())};
    record.insert(record.end(), message.begin(), message.end());
    const auto failed = session->handshake(std::as_bytes(std::span(record)), output);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().reason == Reason::no_common_suite);
    return failed.error().words;
  };
  CHECK(answer(0x002F, {}).contains("chose TLS_RSA_WITH_AES_128_CBC_SHA, which was not offered; offered were ECDHE"));
  CHECK(answer(0xFFEE, {}).contains("chose 0xFFEE, which was not offered"));
  config::TlsSettings settings;
  settings.suites = {"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"};
  CHECK(answer(0xC030, settings)
            .contains("chose TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, which was not offered; offered were "
                      "TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, on x25519"));
}

TEST_CASE("tls.message of the server's hello tells the suite, or nothing if it is cut short") {
  const auto message = server_hello(0xC030);
  CHECK(server_hello_suite(message) == 0xC030);
  for (std::size_t size = 0; size + 1 < message.size(); ++size) {
    CHECK_FALSE(server_hello_suite(std::span(message).first(size)));
  }
}

TEST_CASE("tls.names that are not supported make no client") {
  const auto refusal_of = [](const config::TlsSettings& settings) {
    const auto client = engine::tls::make_mbedtls_client(tls_library(), settings, trusting_material());
    REQUIRE_FALSE(client);
    return client.error().words;
  };
  config::TlsSettings settings;
  settings.suites = {"TLS_RSA_WITH_NULL_MD5"};
  CHECK(refusal_of(settings).contains("\"TLS_RSA_WITH_NULL_MD5\""));
  settings = {};
  settings.groups = {"sect163k1"};
  CHECK(refusal_of(settings).contains("\"sect163k1\""));
  settings = {};
  settings.pins = {"sha256/AAAA"};
  CHECK(refusal_of(settings).contains("\"sha256/AAAA\""));
}

}  // namespace
}  // namespace tlsmux::test
