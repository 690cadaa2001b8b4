// A client gives way to another, as when certificates are renewed: sessions go on, new ones have what is new.
#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <string>

#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::make_mbedtls_client;
using engine::tls::TlsClient;
using engine::tls::TlsMaterial;

constexpr std::array kVersions = {TLS1_2_VERSION, TLS1_3_VERSION};

HostSettings demanding(int version) {
  return {.version_min = version, .version_max = version, .client_authority = &authority()};
}

TlsMaterial with_certificate(const Identity& identity) {
  TlsMaterial material = trusting_material();
  add_certificate(material, identity);
  return material;
}

std::unique_ptr<TlsClient> replace(std::unique_ptr<TlsClient>& client, const config::TlsSettings& settings,
                                   const TlsMaterial& material) {
  auto made = make_mbedtls_client(tls_library(), settings, material, client.get());
  REQUIRE(made);
  client.reset();
  return std::move(*made);
}

void exchange(TlsPair& pair) {
  const std::string ping(3000, 'p');
  pair.seal({ping});
  CHECK(pair.host().received().ends_with(ping));
  pair.host().write("pong");
  REQUIRE(pair.open_all());
  CHECK(pair.received().ends_with("pong"));
}

std::string client_name(TlsPair& pair) {
  const Certificate certificate(SSL_get1_peer_certificate(pair.host().ssl()));
  REQUIRE(certificate != nullptr);
  std::array<char, 100> name{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name.data(), name.size());
  return name.data();
}

TEST_CASE("tls.replacement leaves sessions as they are, and gives new ones the new certificate") {
  const Identity old_identity = authority().issue({.common_name = "old"});
  const Identity new_identity = authority().issue({.common_name = "new"});
  for (const int version : kVersions) {
    OpenSslHost host(host_identity(), demanding(version));
    auto client = make_client({}, with_certificate(old_identity));
    TlsPair before(*client, host);
    REQUIRE(before.shake_hands());
    exchange(before);

    client = replace(client, {}, with_certificate(new_identity));
    exchange(before);
    CHECK(before.session().peer_facts().certificate_expires_s > 0);
    TlsPair after(*client, host);
    REQUIRE(after.shake_hands());
    CHECK_FALSE(after.session().peer_facts().resumed);
    exchange(after);
    exchange(before);
    CHECK(client_name(before) == "old");
    CHECK(client_name(after) == "new");

    client.reset();
    exchange(before);
    exchange(after);
    after.session().close_notify(after.wire());
    after.flush();
    CHECK(after.host().closed_by_client());
  }
}

TEST_CASE("tls.replacement at any step of a handshake lets it come to its end") {
  const Identity old_identity = authority().issue({.common_name = "old"});
  for (const int version : kVersions) {
    for (int steps_before = 0; steps_before < 4; ++steps_before) {
      OpenSslHost host(host_identity(), demanding(version));
      auto client = make_client({}, with_certificate(old_identity));
      auto session = client->start(std::string(kHostName)).value();
      OpenSslConnection connection(host);
      std::vector<std::byte> from_host;
      auto state = engine::tls::HandshakeState::wants_bytes;
      for (int step = 0; state == engine::tls::HandshakeState::wants_bytes; ++step) {
        REQUIRE(step < 10);
        if (step == steps_before) client = replace(client, {}, trusting_material());
        std::vector<std::byte> to_host;
        const auto next = session->handshake(from_host, to_host);
        REQUIRE(next);
        state = *next;
        connection.feed(to_host);
        from_host = connection.take_output();
      }
      CHECK(SSL_is_init_finished(connection.ssl()) == 1);
    }
  }
}

// Makes a session with its ticket, and whether it was resumed.
bool resumes(TlsClient& client, OpenSslHost& host) {
  TlsPair pair(client, host);
  REQUIRE(pair.shake_hands());
  REQUIRE(pair.open_all());
  const bool resumed = pair.session().peer_facts().resumed;
  CHECK(pair.session().peer_facts().certificate_expires_s > 0);
  pair.session().close_notify(pair.wire());
  pair.flush();
  return resumed;
}

TEST_CASE("tls.replacement by the same settings and files keeps the tickets") {
  for (const int version : kVersions) {
    OpenSslHost host(host_identity(), {.version_min = version, .version_max = version});
    auto client = make_client();
    CHECK_FALSE(resumes(*client, host));
    client = replace(client, {}, trusting_material());
    CHECK(resumes(*client, host));
    client = replace(client, {}, trusting_material());
    CHECK(resumes(*client, host));
  }
}

TEST_CASE("tls.replacement by other settings or files drops the tickets") {
  const Authority stranger("a stranger");
  const Identity identity = authority().issue({.common_name = "new"});
  const auto keeps = [](const config::TlsSettings& settings, const TlsMaterial& material) {
    OpenSslHost host(host_identity());
    auto client = make_client();
    CHECK_FALSE(resumes(*client, host));
    client = replace(client, settings, material);
    return resumes(*client, host);
  };
  CHECK(keeps({}, trusting_material()));

  TlsMaterial material = trusting_material();
  material.ca_pem.push_back({.name = "more.pem", .pem = stranger.pem()});
  CHECK_FALSE(keeps({}, material));
  material = trusting_material();
  material.crl_pem = {.name = "crl.pem", .pem = authority().revocation_list_pem()};
  CHECK_FALSE(keeps({}, material));
  CHECK_FALSE(keeps({}, with_certificate(identity)));

  config::TlsSettings settings;
  settings.pins = {host_identity().pin()};
  CHECK_FALSE(keeps(settings, trusting_material()));
  settings = {};
  settings.groups = {"secp256r1"};
  CHECK_FALSE(keeps(settings, trusting_material()));
  settings = {};
  settings.suites = {"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"};
  CHECK_FALSE(keeps(settings, trusting_material()));
  CHECK_FALSE(keeps(versions(config::TlsVersion::tls_1_3, config::TlsVersion::tls_1_3), trusting_material()));
}

TEST_CASE("tls.replacement does not resume with a host that has been revoked since") {
  OpenSslHost host(host_identity());
  auto client = make_client();
  CHECK_FALSE(resumes(*client, host));
  TlsMaterial material = trusting_material();
  material.crl_pem = {.name = "crl.pem", .pem = authority().revocation_list_pem({.revoked = {&host_identity()}})};
  client = replace(client, {}, material);
  TlsPair pair(*client, host);
  const auto done = pair.shake_hands();
  REQUIRE_FALSE(done);
  CHECK(done.error().reason == shm::Reason::certificate_revoked);
}

TEST_CASE("tls.replacement that cannot be made leaves the client as it was") {
  OpenSslHost host(host_identity());
  const auto client = make_client();
  CHECK_FALSE(resumes(*client, host));
  REQUIRE_FALSE(make_mbedtls_client(tls_library(), {}, TlsMaterial{}, client.get()));
  CHECK(resumes(*client, host));
}

}  // namespace
}  // namespace tlsmux::test
