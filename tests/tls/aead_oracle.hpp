// What the tests of an Aead compare with: OpenSSL's EVP interface.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "engine/tls/aead.hpp"

namespace tlsmux::test {

using Bytes = std::vector<std::byte>;
using Parts = std::vector<std::span<const std::byte>>;

inline constexpr engine::tls::AeadAlgorithm kAeadAlgorithms[] = {engine::tls::AeadAlgorithm::aes_128_gcm,
                                                                 engine::tls::AeadAlgorithm::aes_256_gcm,
                                                                 engine::tls::AeadAlgorithm::chacha20_poly1305};
inline constexpr std::size_t kAlwaysGather = 0;
inline constexpr std::size_t kNeverGather = ~std::size_t{0};

// The libraries that this processor can use.
std::vector<engine::tls::AeadLibrary> usable_aead_libraries();

Bytes from_hex(std::string_view hex);
engine::tls::AeadNonce nonce_of(std::span<const std::byte> bytes);

// Bytes that are the same for the same seed.
Bytes random_bytes(std::mt19937_64& random, std::size_t size);

// Ciphertext and tag as OpenSSL makes them.
Bytes openssl_seal(engine::tls::AeadAlgorithm algorithm, std::span<const std::byte> key,
                   const engine::tls::AeadNonce& nonce, std::span<const std::byte> additional,
                   std::span<const std::byte> text);

// The same made by `aead`, into memory that is exactly as large as it must be.
Bytes seal(engine::tls::Aead& aead, const engine::tls::AeadNonce& nonce, std::span<const std::byte> additional,
           std::span<const std::span<const std::byte>> parts);

// A key with its nonce, additional data and an Aead of each usable library, made for one of each threshold.
struct AeadCase {
  AeadCase(engine::tls::AeadAlgorithm which, std::mt19937_64& random, std::size_t additional_size = 5);

  engine::tls::AeadAlgorithm algorithm;
  Bytes key;
  engine::tls::AeadNonce nonce;
  Bytes additional;
  std::vector<std::unique_ptr<engine::tls::Aead>> aeads;  // of each library: one that gathers, one that copies

  [[nodiscard]] Bytes expected(std::span<const std::byte> text) const {
    return openssl_seal(algorithm, key, nonce, additional, text);
  }
};

}  // namespace tlsmux::test
