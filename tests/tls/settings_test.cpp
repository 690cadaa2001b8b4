// The rules between TLS settings.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "config/check/check_tls.hpp"
#include "config/tls_names.hpp"

namespace tlsmux::config::test {
namespace {

std::string errors_of(const TlsSettings& settings) {
  Findings findings({});
  check_tls(settings, "/tls", findings);
  std::string text;
  for (const ConfigError& error : std::move(findings).take()) text += error.pointer + ": " + error.message + "\n";
  return text;
}

std::string errors_of(const std::function<void(TlsSettings&)>& change) {
  TlsSettings settings;
  settings.ca_file = "/ca.pem";
  REQUIRE(errors_of(settings).empty());
  change(settings);
  return errors_of(settings);
}

TEST_CASE("tls.settings that use everything are good") {
  TlsSettings settings;
  settings.ca_directory = "/ca";
  settings.crl_file = "/crl.pem";
  settings.certificate_file = "/client.pem";
  settings.key_file = "/client.key";
  settings.passphrase_file = "/client.pass";
  settings.pins = {"sha256/a", "sha256/b"};
  settings.alpn = {"a", "b"};
  settings.key_log_file = "/keys";
  for (const auto name : suite_names()) settings.suites.emplace_back(name);
  for (const auto name : kGroupNames) settings.groups.emplace_back(name);
  CHECK(errors_of(settings).empty());
}

TEST_CASE("tls.settings that lack what others need are errors") {
  CHECK(errors_of([](TlsSettings& tls) { tls.ca_file = ""; }).starts_with("/tls/ca_file: is missing: to verify"));
  CHECK(errors_of([](TlsSettings& tls) { tls.certificate_file = "/c"; }) ==
        "/tls/key_file: is missing: certificate_file needs its private key\n");
  CHECK(errors_of([](TlsSettings& tls) { tls.key_file = "/k"; }) ==
        "/tls/certificate_file: is missing: key_file needs its certificate\n");
  CHECK(errors_of([](TlsSettings& tls) { tls.passphrase_file = "/p"; }) ==
        "/tls/passphrase_file: there is no key_file that it could be for; remove it\n");
  CHECK(errors_of([](TlsSettings& tls) {
          tls.verify_peer = false;
          tls.crl_file = "/crl.pem";
        }).starts_with("/tls/crl_file: means nothing where verify_peer is false"));
  CHECK(errors_of([](TlsSettings& tls) {
          tls.verify_peer = false;
          tls.pins = {"sha256/a"};
        }).empty());
}

TEST_CASE("tls.settings that stand in a list twice are errors") {
  CHECK(errors_of([](TlsSettings& tls) { tls.pins = {"sha256/a", "sha256/a"}; }) ==
        "/tls/pins/1: \"sha256/a\" stands in this list already; remove it\n");
  CHECK(errors_of([](TlsSettings& tls) { tls.alpn = {"a", "b", "a"}; }) ==
        "/tls/alpn/2: \"a\" stands in this list already; remove it\n");
  CHECK(errors_of([](TlsSettings& tls) { tls.groups = {"x25519", "x25519"}; }) ==
        "/tls/groups/1: \"x25519\" stands in this list already; remove it\n");
  CHECK(errors_of([](TlsSettings& tls) {
          tls.version_min = TlsVersion::tls_1_3;
          tls.suites = {"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"};
        }) == "/tls/suites/1: \"TLS_AES_128_GCM_SHA256\" stands in this list already; remove it\n");
}

TEST_CASE("tls.settings with names that are not supported list those that are") {
  CHECK(errors_of([](TlsSettings& tls) { tls.groups = {"P-256"}; }) ==
        "/tls/groups/0: \"P-256\" is no key exchange group that is supported; give \"x25519\", \"secp256r1\" or "
        "\"secp384r1\"\n");
  CHECK(errors_of([](TlsSettings& tls) { tls.groups = {"x25519", "secp256r2"}; }) ==
        "/tls/groups/1: \"secp256r2\" is no key exchange group that is supported; did you mean \"secp256r1\"? give "
        "\"x25519\", \"secp256r1\" or \"secp384r1\"\n");
  const std::string error = errors_of([](TlsSettings& tls) { tls.suites = {"TLS_RSA_WITH_AES_128_CBC_SHA"}; });
  CHECK(error.starts_with("/tls/suites/0: \"TLS_RSA_WITH_AES_128_CBC_SHA\" is no suite that is supported; "));
  for (const auto name : suite_names()) CHECK(error.contains("\"" + std::string(name) + "\""));
}

TEST_CASE("tls.settings that allow a version without a suite for it are errors") {
  const std::string suite_1_3 = "TLS_AES_128_GCM_SHA256";
  const std::string suite_1_2 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
  CHECK(errors_of([&](TlsSettings& tls) { tls.suites = {suite_1_3}; }) ==
        "/tls/suites: holds no suite for TLS 1.2, which version_min and version_max allow; add one, such as "
        "\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\", or set version_min to \"1.3\"\n");
  CHECK(errors_of([&](TlsSettings& tls) { tls.suites = {suite_1_2}; }) ==
        "/tls/suites: holds no suite for TLS 1.3, which version_min and version_max allow; add one, such as "
        "\"TLS_AES_128_GCM_SHA256\", or set version_max to \"1.2\"\n");
  CHECK(errors_of([&](TlsSettings& tls) {
          tls.suites = {suite_1_3};
          tls.version_max = TlsVersion::tls_1_2;
        }) ==
        "/tls/suites: holds no suite for TLS 1.2, which version_min and version_max allow; add one, such as "
        "\"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\", or allow the version of those that are listed\n");
  CHECK(errors_of([&](TlsSettings& tls) { tls.suites = {suite_1_3, suite_1_2}; }).empty());
  CHECK(errors_of([&](TlsSettings& tls) {
          tls.suites = {suite_1_3};
          tls.version_min = TlsVersion::tls_1_3;
        }).empty());
  CHECK(errors_of([](TlsSettings& tls) {
          tls.version_min = TlsVersion::tls_1_3;
          tls.version_max = TlsVersion::tls_1_2;
          tls.suites = {"TLS_AES_128_GCM_SHA256"};
        }) == "/tls/version_min: is \"1.3\", higher than version_max, which is \"1.2\"\n");
}

}  // namespace
}  // namespace tlsmux::config::test
