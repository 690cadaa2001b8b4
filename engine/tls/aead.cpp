#include "engine/tls/aead.hpp"

#include "engine/tls/aead_ipsec_mb.hpp"
#include "engine/tls/aead_mbedtls.hpp"
#include "engine/tls/locked_memory.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::tls {

bool aead_is_usable(AeadLibrary library) { return library == AeadLibrary::mbedtls || ipsec_mb_is_usable(); }

AeadLibrary fastest_aead_library() { return ipsec_mb_is_usable() ? AeadLibrary::ipsec_mb : AeadLibrary::mbedtls; }

std::string_view name(AeadLibrary library) { return library == AeadLibrary::ipsec_mb ? "Intel IPsec-MB" : "mbedTLS"; }

bool aead_keys_are_locked() { return key_memory().all_locked(); }

std::unique_ptr<Aead> make_aead(AeadLibrary library, AeadAlgorithm algorithm, std::span<const std::byte> key,
                                std::size_t gather_bytes_min) {
  TMX_ASSERT(key.size() == aead_key_bytes(algorithm));
  return library == AeadLibrary::ipsec_mb ? make_ipsec_mb_aead(algorithm, key, gather_bytes_min)
                                          : make_mbedtls_aead(algorithm, key, gather_bytes_min);
}

}  // namespace tlsmux::engine::tls
