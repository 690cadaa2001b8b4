#include "engine/tls/key_pins.hpp"

#include <mbedtls/sha256.h>
#include <mbedtls/x509_crt.h>

#include "shm/assert.hpp"

namespace tlsmux::engine::tls {

std::expected<std::vector<config::KeyHash>, std::string> parse_pins(std::span<const std::string> texts) {
  std::vector<config::KeyHash> hashes;
  for (const std::string& text : texts) {
    const auto hash = config::parse_pin(text);
    if (!hash) return std::unexpected(text);
    hashes.push_back(*hash);
  }
  return hashes;
}

config::KeyHash key_hash(const mbedtls_x509_crt& certificate) {
  config::KeyHash hash{};
  const int code = mbedtls_sha256(certificate.pk_raw.p, certificate.pk_raw.len, hash.data(), 0);
  TMX_ASSERT(code == 0);  // it can fail only in hardware
  return hash;
}

}  // namespace tlsmux::engine::tls
