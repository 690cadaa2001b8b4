#pragma once

// What our own files hold for a time only. mbedTLS shows a certificate that has expired to hosts all the same, and trusts no host whose
// CA's revocation list has.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tls/tls_material.hpp"

struct mbedtls_x509_crt;

namespace tlsmux::engine::tls {

// In seconds since 1970.
struct Validity {
  std::int64_t from_s = 0;
  std::int64_t to_s = 0;
};

Validity validity_of(const mbedtls_x509_crt& certificate);

// Such as "expired on 2026-11-21 18:33 UTC"; empty: it is valid.
std::string validity_fault(const Validity& validity, std::int64_t now_s);

struct Expiring {
  enum class Kind : std::uint8_t { certificate, revocation_list };

  Kind kind = Kind::certificate;
  std::string name;  // for texts
  Validity validity;

  // The key of the TLS settings that names its file.
  [[nodiscard]] std::string_view setting() const { return kind == Kind::certificate ? "certificate_file" : "crl_file"; }
};

// Our certificate with its chain, and the revocation lists. Without those of a file that cannot be read: no client can be made of it.
std::vector<Expiring> find_expiring(const TlsMaterial& material);

// What to warn of: it is not valid, or will not be for long. Empty: nothing.
std::string expiry_warning(const Expiring& expiring, std::int64_t now_s);

}  // namespace tlsmux::engine::tls
