#pragma once

// Certificates and key, parsed out of the bytes of their files. Internal to this folder: it includes mbedTLS.

#include <expected>
#include <memory>
#include <string>

#include "engine/tls/handles.hpp"
#include "engine/tls/tls_material.hpp"

namespace tlsmux::engine::tls {

struct Credentials {
  CertificateChain authorities;
  bool has_authorities = false;
  CertificateChain certificate;  // ours, with its chain
  PrivateKey key;
  bool has_certificate = false;
  RevocationLists revocation_lists;
  bool has_revocation_lists = false;
};

// The error names the file and says what is wrong with it. Copies of key and passphrase made on the way are wiped.
std::expected<std::unique_ptr<Credentials>, std::string> parse_credentials(const TlsMaterial& material,
                                                                           mbedtls_ctr_drbg_context& random);

}  // namespace tlsmux::engine::tls
