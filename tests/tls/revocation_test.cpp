#include <doctest/doctest.h>

#include <array>
#include <string>

#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::TlsError;
using engine::tls::TlsMaterial;
using shm::Reason;

constexpr std::array kVersions = {TLS1_2_VERSION, TLS1_3_VERSION};

TlsMaterial with_lists(const std::string& pem) {
  TlsMaterial material = trusting_material();
  material.crl_pem = {.name = "crl.pem", .pem = pem};
  return material;
}

std::expected<void, TlsError> try_host(const TlsMaterial& material, const Identity& identity,
                                       const HostSettings& settings) {
  OpenSslHost host(identity, settings);
  const auto client = make_client({}, material);
  TlsPair pair(*client, host);
  return pair.shake_hands();
}

TlsError failure_with(const std::string& lists, const Identity& identity, const HostSettings& settings = {}) {
  const auto done = try_host(with_lists(lists), identity, settings);
  REQUIRE_FALSE(done);
  return done.error();
}

TEST_CASE("tls.revocation lets a host pass whose CA's list does not hold it") {
  for (const int version : kVersions) {
    const Identity other = authority().issue({});
    const auto lists = authority().revocation_list_pem({.revoked = {&other}});
    CHECK(try_host(with_lists(lists), host_identity(), {.version_min = version, .version_max = version}));
  }
}

TEST_CASE("tls.revocation refuses a host that the list holds") {
  for (const int version : kVersions) {
    const auto lists = authority().revocation_list_pem({.revoked = {&host_identity()}});
    const auto error = failure_with(lists, host_identity(), {.version_min = version, .version_max = version});
    CHECK(error.reason == Reason::certificate_revoked);
    CHECK(error.words.contains("\"CN=host.example\" is revoked"));
  }
}

TEST_CASE("tls.revocation refuses a host whose CA has no list") {
  const Authority stranger("a stranger");
  const auto error = failure_with(stranger.revocation_list_pem(), host_identity());
  CHECK(error.reason == Reason::certificate_untrusted);
  CHECK(error.words.contains("crl_file has no list of its CA \"CN=tlsmux test authority\""));
}

TEST_CASE("tls.revocation refuses a list that has expired or is not valid yet, and says when") {
  const auto expired =
      failure_with(authority().revocation_list_pem({.starts_s = -200'000, .ends_s = -100'000}), host_identity());
  CHECK(expired.reason == Reason::certificate_untrusted);
  CHECK(expired.words.contains("the list of its CA \"CN=tlsmux test authority\" in crl_file expired on 20"));

  const auto early =
      failure_with(authority().revocation_list_pem({.starts_s = 100'000, .ends_s = 200'000}), host_identity());
  CHECK(early.reason == Reason::certificate_untrusted);
  CHECK(early.words.contains("is not valid before 20"));
}

TEST_CASE("tls.revocation counts even in a list that has expired") {
  const auto error = failure_with(
      authority().revocation_list_pem({.revoked = {&host_identity()}, .starts_s = -200'000, .ends_s = -100'000}),
      host_identity());
  CHECK(error.reason == Reason::certificate_revoked);
  CHECK(error.words.contains("expired on 20"));
}

TEST_CASE("tls.revocation refuses a list that another has signed in the CA's name") {
  const Authority impostor("tlsmux test authority");
  const auto error = failure_with(impostor.revocation_list_pem(), host_identity());
  CHECK(error.reason == Reason::certificate_untrusted);
  CHECK(error.words.contains("is not signed by that CA"));
}

TEST_CASE("tls.revocation refuses the list of a CA that may not sign lists") {
  const Authority limited("a limited authority", "critical,keyCertSign");
  TlsMaterial material;
  material.ca_pem.push_back({.name = "ca.pem", .pem = limited.pem()});
  material.crl_pem = {.name = "crl.pem", .pem = limited.revocation_list_pem()};
  const auto done = try_host(material, limited.issue({}), {});
  REQUIRE_FALSE(done);
  CHECK(done.error().words.contains("may not sign such lists"));
}

TEST_CASE("tls.revocation looks at each certificate below the trusted one") {
  const Authority intermediate = authority().issue_authority("an intermediate authority");
  const Identity identity = intermediate.issue({});
  const HostSettings settings{.intermediate = &intermediate};
  const auto of_root = authority().revocation_list_pem();
  const auto of_intermediate = intermediate.revocation_list_pem();
  CHECK(try_host(trusting_material(), identity, settings));
  CHECK(try_host(with_lists(of_root + of_intermediate), identity, settings));

  const auto incomplete = failure_with(of_root, identity, settings);
  CHECK(incomplete.reason == Reason::certificate_untrusted);
  CHECK(incomplete.words.contains("no list of its CA \"CN=an intermediate authority\""));

  const auto revoked_root_list = authority().revocation_list_pem({.revoked = {&intermediate.identity()}});
  const auto revoked = failure_with(revoked_root_list + of_intermediate, identity, settings);
  CHECK(revoked.reason == Reason::certificate_revoked);
  CHECK(revoked.words.contains("\"CN=an intermediate authority\" is revoked"));
}

TEST_CASE("tls.revocation does not hide that nobody trusts the host") {
  const Authority stranger("a stranger");
  const auto error = failure_with(authority().revocation_list_pem(), stranger.issue({}));
  CHECK(error.reason == Reason::certificate_untrusted);
  CHECK(error.words.contains("no CA that is trusted"));
}

TEST_CASE("tls.revocation needs lists that can be read") {
  const auto refusal_of = [](const std::string& pem) {
    const auto client = engine::tls::make_mbedtls_client(tls_library(), {}, with_lists(pem));
    REQUIRE_FALSE(client);
    return client.error().words;
  };
  CHECK(refusal_of("0\x82 DER").contains("\"crl.pem\" holds no revocation list in PEM form"));
  CHECK(refusal_of("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
            .contains("\"crl.pem\" holds a revocation list that cannot be read"));
  CHECK(refusal_of(authority().revocation_list_pem() + "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
            .contains("cannot be read"));
}

}  // namespace
}  // namespace tlsmux::test
