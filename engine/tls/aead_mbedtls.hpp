#pragma once

// mbedTLS's own AEADs, where IPsec-MB cannot be used. See aead.hpp.
//
// With AES-GCM two rules of Aead hold less than fully, because mbedTLS keeps the AES round keys in memory that it allocates
// by itself: they lie in the heap (wiped before they are given back, but neither locked nor left out of dumps), and set_key
// allocates once, and throws std::bad_alloc where it cannot.

#include "engine/tls/aead.hpp"

namespace tlsmux::engine::tls {

// Null: no memory.
[[nodiscard]] std::unique_ptr<Aead> make_mbedtls_aead(AeadAlgorithm algorithm, std::span<const std::byte> key,
                                                      std::size_t gather_bytes_min);

}  // namespace tlsmux::engine::tls
