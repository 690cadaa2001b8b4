#pragma once

// Authenticated encryption for TLS records (RFC 5116), behind which the libraries are exchangeable.
//
// An Aead holds one key, for one direction. Used by one thread at a time; allocates and locks nothing after it was made.
// The key is in locked memory that is not dumped and not inherited, and is wiped with the object.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace tlsmux::engine::tls {

enum class AeadAlgorithm : std::uint8_t { aes_128_gcm, aes_256_gcm, chacha20_poly1305 };

inline constexpr std::size_t kAeadNonceBytes = 12;
inline constexpr std::size_t kAeadTagBytes = 16;
inline constexpr std::size_t kAeadKeyBytesMax = 32;

constexpr std::size_t aead_key_bytes(AeadAlgorithm algorithm) {
  return algorithm == AeadAlgorithm::aes_128_gcm ? 16 : 32;
}

using AeadNonce = std::array<std::byte, kAeadNonceBytes>;

class Aead {
 public:
  virtual ~Aead() = default;

  // Another key of the same algorithm (KeyUpdate, RFC 8446 section 7.2); the one before is wiped.
  virtual void set_key(std::span<const std::byte> key) = 0;

  // Encrypts `parts` in their order to `output`, which has room for all of them and the tag. The parts may change while
  // they are read (a client owns them): what is sealed is then undefined, but a valid record. Each part is read once.
  // A single part may lie exactly where `output` begins (in place); else nothing overlaps.
  virtual void seal(const AeadNonce& nonce, std::span<const std::byte> additional,
                    std::span<const std::span<const std::byte>> parts, std::span<std::byte> output) = 0;

  // Decrypts `sealed` (ciphertext, then tag) to `output`, which has the size of the ciphertext and may lie exactly where
  // it does. False: the tag does not match, and `output` is zeroed.
  [[nodiscard]] virtual bool open(const AeadNonce& nonce, std::span<const std::byte> additional,
                                  std::span<const std::byte> sealed, std::span<std::byte> output) = 0;
};

// Which library does the work.
enum class AeadLibrary : std::uint8_t { ipsec_mb, mbedtls };

// True when this processor has what the library needs (IPsec-MB: AES-NI and PCLMULQDQ or better).
[[nodiscard]] bool aead_is_usable(AeadLibrary library);
// The fastest that is usable; asked once, at the start.
[[nodiscard]] AeadLibrary fastest_aead_library();
[[nodiscard]] std::string_view name(AeadLibrary library);

// Requires aead_key_bytes(algorithm) bytes of key and a usable library. Null: no memory, or none that may be locked.
[[nodiscard]] std::unique_ptr<Aead> make_aead(AeadLibrary library, AeadAlgorithm algorithm,
                                              std::span<const std::byte> key);

}  // namespace tlsmux::engine::tls
