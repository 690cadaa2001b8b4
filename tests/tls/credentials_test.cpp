#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "tests/tls/tls_pair.hpp"

namespace tlsmux::test {
namespace {

using engine::tls::TlsMaterial;

std::string refusal_of(const TlsMaterial& material, const config::TlsSettings& settings = {}) {
  const auto client = engine::tls::make_mbedtls_client(tls_library(), settings, material);
  REQUIRE_FALSE(client);
  return client.error().words;
}

TlsMaterial with_client_certificate() {
  TlsMaterial material = trusting_material();
  add_certificate(material, host_identity());
  return material;
}

TEST_CASE("tls.material that cannot be used is named") {
  CHECK(refusal_of({}).contains("ca_file or ca_directory"));

  TlsMaterial material;
  material.ca_pem.push_back({.name = "/etc/ca.pem", .pem = "hello"});
  CHECK(refusal_of(material).contains("\"/etc/ca.pem\" holds no CA certificate in PEM form"));
  material.ca_pem[0].pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  CHECK(refusal_of(material).contains("\"/etc/ca.pem\" holds no CA certificate that can be read"));

  material = with_client_certificate();
  material.certificate_pem.pem = "hello";
  CHECK(refusal_of(material).contains("\"client.pem\" holds no certificate in PEM form"));
  material = with_client_certificate();
  material.certificate_pem.pem += "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  CHECK(refusal_of(material).contains("\"client.pem\" holds a certificate that cannot be read"));

  material = with_client_certificate();
  material.key_pem.pem = secret_bytes("hello");
  CHECK(refusal_of(material).contains("\"client.key\" holds no private key that can be read"));
  material.key_pem.pem = secret_bytes(host_identity().encrypted_key_pem());
  CHECK(refusal_of(material).contains("\"client.key\" holds an encrypted key"));
  material.key_pem.pem = secret_bytes(host_identity(KeyKind::rsa).key_pem());
  CHECK(refusal_of(material).contains("\"client.key\" is not the key of the certificate in \"client.pem\""));
  material.key_pem = {};
  CHECK(refusal_of(material).contains("\"client.pem\" has no key_file"));
}

TEST_CASE("tls.material error shows nothing of the key") {
  TlsMaterial material = with_client_certificate();
  material.key_pem.pem = secret_bytes("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
  CHECK_FALSE(refusal_of(material).contains("c2VjcmV0"));
}

TEST_CASE("tls.material of a directory may hold other things, but needs one CA") {
  TlsMaterial material;
  material.ca_pem.push_back({.name = "README", .pem = "hello", .from_directory = true});
  CHECK(refusal_of(material).contains("see that it holds one"));
  material.ca_pem.push_back({.name = "ca.pem", .pem = authority().pem(), .from_directory = true});
  OpenSslHost host(host_identity());
  const auto client = make_client({}, material);
  TlsPair pair(*client, host);
  CHECK(pair.shake_hands());
}

TEST_CASE("tls.material may bundle many CAs, also with one that is not understood") {
  const Authority other("another authority");
  TlsMaterial material;
  material.ca_pem.push_back({.name = "bundle.pem",
                             .pem = "# a bundle\n" + other.pem() +
                                    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" +
                                    authority().pem()});
  const auto client = make_client({}, material);
  OpenSslHost host(host_identity());
  TlsPair pair(*client, host);
  CHECK(pair.shake_hands());
  const Identity by_other = other.issue({});
  OpenSslHost other_host(by_other);
  TlsPair other_pair(*client, other_host, "host.example");
  CHECK(other_pair.shake_hands());
}

TEST_CASE("tls.client certificate may have any kind of key") {
  for (const KeyKind kind : {KeyKind::p256, KeyKind::p384, KeyKind::rsa}) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      TlsMaterial material = trusting_material();
      add_certificate(material, host_identity(kind));
      const auto client = make_client({}, material);
      OpenSslHost host(host_identity(),
                       {.version_min = version, .version_max = version, .client_authority = &authority()});
      TlsPair pair(*client, host);
      REQUIRE(pair.shake_hands());
      CHECK(pair.open_all());
    }
  }
}

TlsMaterial with_encrypted_key(const std::string& key, const std::string& passphrase_file) {
  TlsMaterial material = with_client_certificate();
  material.key_pem.pem = secret_bytes(key);
  material.passphrase = {.name = "passphrase.txt", .bytes = secret_bytes(passphrase_file)};
  return material;
}

TEST_CASE("tls.client key may be encrypted: the passphrase is the first line of its file") {
  const std::string passphrase(kPassphrase);
  for (const std::string& key :
       {host_identity().encrypted_key_pem(), host_identity().traditionally_encrypted_key_pem()}) {
    REQUIRE(key.contains("ENCRYPTED"));
    for (const std::string& file : {passphrase, passphrase + "\n", passphrase + "\r\n", passphrase + "\nmore\n"}) {
      for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        const auto client = make_client({}, with_encrypted_key(key, file));
        OpenSslHost host(host_identity(),
                         {.version_min = version, .version_max = version, .client_authority = &authority()});
        TlsPair pair(*client, host);
        REQUIRE(pair.shake_hands());
        CHECK(pair.open_all());
      }
    }
  }
}

TEST_CASE("tls.client key with a passphrase that is wrong or missing is refused, without showing it") {
  for (const std::string& key :
       {host_identity().encrypted_key_pem(), host_identity().traditionally_encrypted_key_pem()}) {
    const std::string wrong = refusal_of(with_encrypted_key(key, "another passphrase\n"));
    CHECK(wrong.contains("\"client.key\""));
    CHECK(wrong.contains("\"passphrase.txt\""));
    CHECK_FALSE(wrong.contains("another passphrase"));
    CHECK_FALSE(refusal_of(with_encrypted_key(key, " " + std::string(kPassphrase))).contains(kPassphrase));

    CHECK(refusal_of(with_encrypted_key(key, "\n" + std::string(kPassphrase)))
              .contains("\"passphrase.txt\" holds no passphrase: its first line is empty"));
    CHECK(refusal_of(with_encrypted_key(key, "")).contains("\"passphrase.txt\" holds no passphrase"));

    TlsMaterial material = with_encrypted_key(key, "");
    material.passphrase = {};
    CHECK(refusal_of(material).contains("\"client.key\" holds an encrypted key, and there is no passphrase_file"));
  }
}

TEST_CASE("tls.client key that is not encrypted needs no passphrase, and does not mind one") {
  CHECK(engine::tls::make_mbedtls_client(tls_library(), {}, with_encrypted_key(host_identity().key_pem(), "any\n")));
}

}  // namespace
}  // namespace tlsmux::test
