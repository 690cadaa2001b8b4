// Throw-away certificates, made in memory by OpenSSL.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/tls/openssl_handles.hpp"

namespace tlsmux::test {

enum class KeyKind { p256, p384, rsa };

struct CertificateWish {
  std::string common_name = "host.example";
  std::string alternative_names = "DNS:host.example,IP:192.0.2.7,IP:2001:db8::7";  // as in openssl.cnf; empty: none
  long starts_s = -3600;                                                           // from now
  long ends_s = 86'400;                                                            // from now
  KeyKind key = KeyKind::p256;
  EVP_PKEY* key_pair = nullptr;  // null: a new one
};

struct Identity {
  Certificate certificate;
  Key key;

  [[nodiscard]] std::string certificate_pem() const;
  [[nodiscard]] std::string key_pem() const;
  [[nodiscard]] std::string encrypted_key_pem() const;  // PKCS #8, with kPassphrase
  [[nodiscard]] std::string traditionally_encrypted_key_pem() const;
  // "sha256/" and the hash of the public key, as OpenSSL makes it.
  [[nodiscard]] std::string pin() const;
};

inline constexpr std::string_view kPassphrase = "a long passphrase";

struct RevocationWish {
  std::vector<const Identity*> revoked{};
  long starts_s = -3600;  // from now
  long ends_s = 86'400;
};

class Authority {
 public:
  // `key_usage` as in openssl.cnf; empty: any.
  explicit Authority(const std::string& common_name, const std::string& key_usage = "", KeyKind key = KeyKind::p256);

  [[nodiscard]] Identity issue(const CertificateWish& wish) const;
  [[nodiscard]] Authority issue_authority(const std::string& common_name) const;
  [[nodiscard]] std::string revocation_list_pem(const RevocationWish& wish = {}) const;
  [[nodiscard]] std::string pem() const { return identity_.certificate_pem(); }
  [[nodiscard]] const Identity& identity() const { return identity_; }
  [[nodiscard]] X509* certificate() const { return identity_.certificate.get(); }

 private:
  Authority() = default;

  Identity identity_;
};

}  // namespace tlsmux::test
