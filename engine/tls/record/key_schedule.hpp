#pragma once

// From a session's secrets to the keys of its records. But for the key block of TLS 1.2, nothing here allocates.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/tls/aead.hpp"
#include "engine/tls/record/record_suite.hpp"
#include "engine/tls/session_state.hpp"

namespace tlsmux::engine::tls {

// Of one direction. Keep it in a Wiped.
struct TrafficKey {
  std::array<std::byte, kAeadKeyBytesMax> key{};
  AeadNonce iv{};  // with an explicit nonce only its first four bytes

  [[nodiscard]] std::span<const std::byte> key_of(AeadAlgorithm algorithm) const {
    return std::span(key).first(aead_key_bytes(algorithm));
  }
};

// HKDF-Expand-Label (RFC 8446 section 7.1) with an empty context, and a label that "tls13 " is put before. Requires no
// more output than the hash has bytes. The output may be the secret.
void expand_label(HashAlgorithm hash, std::span<const std::uint8_t> secret, std::string_view label,
                  std::span<std::uint8_t> output);

// RFC 8446 section 7.3.
void derive_traffic_key(const RecordSuite& suite, std::span<const std::uint8_t> secret, TrafficKey& key);

// The secret after a KeyUpdate (RFC 8446 section 7.2).
void advance_secret(HashAlgorithm hash, std::span<std::uint8_t> secret);

struct KeyBlock {
  TrafficKey client;
  TrafficKey server;
};

// RFC 5246 section 6.3. False: no memory.
[[nodiscard]] bool derive_key_block(const RecordSuite& suite, const SessionState& state, KeyBlock& block);

}  // namespace tlsmux::engine::tls
