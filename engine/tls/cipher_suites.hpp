#pragma once

// The suites that are offered, by IANA number, in order of preference and ended by 0 as mbedTLS wants it: ephemeral
// ECDH with an AEAD, nothing else.

#include <array>
#include <cstdint>
#include <string>

namespace tlsmux::engine::tls {

inline constexpr std::array<int, 10> kCipherSuites = {
    0x1301, 0x1302, 0x1303,          // TLS 1.3 (RFC 8446 appendix B.4)
    0xC02B, 0xC02F, 0xC02C, 0xC030,  // TLS 1.2 with AES-GCM (RFC 5289)
    0xCCA9, 0xCCA8,                  // TLS 1.2 with ChaCha20-Poly1305 (RFC 7905)
    0,
};

// The IANA name; the number in hexadecimal for one that is not offered.
std::string cipher_suite_name(int suite);

}  // namespace tlsmux::engine::tls
