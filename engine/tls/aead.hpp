#pragma once

// Authenticated encryption for TLS records (RFC 5116), behind which the libraries are exchangeable.
//
// An Aead holds one key, for one direction. Used by one thread at a time, and made and destroyed by any; between that it
// takes no lock and allocates nothing. The key is in locked memory (locked_memory.hpp) and is wiped with the object.
// aead_mbedtls.hpp names the one exception to both.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
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

  // Another key of the same algorithm and size (KeyUpdate, RFC 8446 section 7.2); the one before is wiped.
  virtual void set_key(std::span<const std::byte> key) = 0;

  // Encrypts `parts`, any number of any size, in their order, and the `last` byte behind them to `output`, which has the
  // size of all of them and the tag.
  // The parts may change while they are read (a client owns them): what is sealed is then undefined, but a valid record.
  // `output` must be private. A part may lie exactly where it will be sealed (in place); else nothing overlaps.
  virtual void seal(const AeadNonce& nonce, std::span<const std::byte> additional,
                    std::span<const std::span<const std::byte>> parts, std::optional<std::byte> last,
                    std::span<std::byte> output) = 0;
  void seal(const AeadNonce& nonce, std::span<const std::byte> additional,
            std::span<const std::span<const std::byte>> parts, std::span<std::byte> output) {
    seal(nonce, additional, parts, std::nullopt, output);
  }

  // Decrypts `sealed` (ciphertext, then tag) to `output`, which has the size of the ciphertext and may lie exactly where
  // it does. `sealed` must be private; `output` need not be. False: the tag does not match, and `output` is zeroed.
  [[nodiscard]] virtual bool open(const AeadNonce& nonce, std::span<const std::byte> additional,
                                  std::span<const std::byte> sealed, std::span<std::byte> output) = 0;
};

// Which library does the work.
enum class AeadLibrary : std::uint8_t { ipsec_mb, mbedtls };

// True when this processor has what the library needs (IPsec-MB: AES-NI and PCLMULQDQ or better).
[[nodiscard]] bool aead_is_usable(AeadLibrary library);
// The fastest that is usable; asked once, at the start, because the first time takes milliseconds.
[[nodiscard]] AeadLibrary fastest_aead_library();
[[nodiscard]] std::string_view name(AeadLibrary library);

// Parts from this size on are sealed from where they are; smaller ones are copied to the output first and sealed there.
// Measured by bench/aead_bench.cpp with IPsec-MB 1.3 on an AMD EPYC with VAES, for parts that lie in this processor's cache,
// in another's or in none. 64 to 300 bytes: gathering takes 1.0 to 5 times as long. 4 to 8 KB: 0.9 (in this cache) to 1.25
// times (AES-GCM, in no cache). 12 KB and more: 0.9 to 1.05 times.
inline constexpr std::size_t kAeadGatherBytesMin = 12288;

// Requires aead_key_bytes(algorithm) bytes of key and a usable library. Null: no memory. Another `gather_bytes_min` gives
// the same bytes at another speed.
[[nodiscard]] std::unique_ptr<Aead> make_aead(AeadLibrary library, AeadAlgorithm algorithm,
                                              std::span<const std::byte> key,
                                              std::size_t gather_bytes_min = kAeadGatherBytesMin);

// False once key memory could not be locked (RLIMIT_MEMLOCK); such keys are not locked, else the same. Never true again.
[[nodiscard]] bool aead_keys_are_locked();

}  // namespace tlsmux::engine::tls
