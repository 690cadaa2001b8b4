// Built in place of aead_ipsec_mb.cpp on processors that IPsec-MB does not know.
#include "engine/tls/aead_ipsec_mb.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::tls {

bool ipsec_mb_is_usable() { return false; }

std::unique_ptr<Aead> make_ipsec_mb_aead(AeadAlgorithm /*algorithm*/, std::span<const std::byte> /*key*/,
                                         std::size_t /*gather_bytes_min*/) {
  TMX_ASSERT(ipsec_mb_is_usable());
  return nullptr;
}

}  // namespace tlsmux::engine::tls
