#pragma once

#include <cstdint>
#include <optional>

#include "engine/tls/aead.hpp"
#include "engine/tls/record/record_format.hpp"

namespace tlsmux::engine::tls {

enum class HashAlgorithm : std::uint8_t { sha256, sha384 };

constexpr std::size_t hash_bytes(HashAlgorithm hash) { return hash == HashAlgorithm::sha256 ? 32 : 48; }

// What protects the records of a session.
struct RecordSuite {
  std::uint16_t version = kTls13;
  AeadAlgorithm aead = AeadAlgorithm::aes_128_gcm;
  HashAlgorithm hash = HashAlgorithm::sha256;

  // RFC 5288 section 3. Else the nonce is made of the sequence number alone (RFC 8446 section 5.3, RFC 7905 section 2).
  [[nodiscard]] bool has_explicit_nonce() const { return version == kTls12 && is_gcm(); }
  [[nodiscard]] bool is_gcm() const { return aead != AeadAlgorithm::chacha20_poly1305; }
  // Bytes of a record beyond its content.
  [[nodiscard]] std::size_t overhead_bytes() const {
    const std::size_t inside = version == kTls13 ? 1 : (has_explicit_nonce() ? 8 : 0);
    return kRecordHeaderBytes + inside + kAeadTagBytes;
  }
};

// Of an IANA number. Nothing for a suite that is never offered.
std::optional<RecordSuite> record_suite(std::uint16_t version, std::uint16_t suite);

}  // namespace tlsmux::engine::tls
