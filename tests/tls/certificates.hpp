// Throw-away certificates, made in memory by OpenSSL.
#pragma once

#include <string>

#include "tests/tls/openssl_handles.hpp"

namespace tlsmux::test {

enum class KeyKind { p256, p384, rsa };

struct CertificateWish {
  std::string common_name = "host.example";
  std::string alternative_names = "DNS:host.example,IP:192.0.2.7,IP:2001:db8::7";  // as in openssl.cnf; empty: none
  long starts_s = -3600;                                                           // from now
  long ends_s = 86'400;                                                            // from now
  KeyKind key = KeyKind::p256;
};

struct Identity {
  Certificate certificate;
  Key key;

  [[nodiscard]] std::string certificate_pem() const;
  [[nodiscard]] std::string key_pem() const;
  [[nodiscard]] std::string encrypted_key_pem() const;
};

class Authority {
 public:
  explicit Authority(const std::string& common_name);

  [[nodiscard]] Identity issue(const CertificateWish& wish) const;
  [[nodiscard]] std::string pem() const { return identity_.certificate_pem(); }
  [[nodiscard]] X509* certificate() const { return identity_.certificate.get(); }

 private:
  Identity identity_;
};

}  // namespace tlsmux::test
