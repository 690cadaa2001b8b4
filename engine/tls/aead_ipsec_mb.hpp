#pragma once

// Intel IPsec-MB's AEADs. See aead.hpp.

#include "engine/tls/aead.hpp"

namespace tlsmux::engine::tls {

// The processor has AES-NI and PCLMULQDQ and the library passes its own self test. The first call takes milliseconds.
[[nodiscard]] bool ipsec_mb_is_usable();

// Requires ipsec_mb_is_usable(). Null: no memory.
[[nodiscard]] std::unique_ptr<Aead> make_ipsec_mb_aead(AeadAlgorithm algorithm, std::span<const std::byte> key,
                                                       std::size_t gather_bytes_min);

}  // namespace tlsmux::engine::tls
