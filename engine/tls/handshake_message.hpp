#pragma once

// The few facts of handshake messages that mbedTLS does not tell. A message comes with its header of 4 bytes
// (RFC 5246 section 7.4) and may be malformed.

#include <cstdint>
#include <optional>
#include <span>

namespace tlsmux::engine::tls {

inline constexpr std::uint16_t kExtendedMasterSecret = 23;  // RFC 7627 section 5.1

// Whether a ServerHello (RFC 5246 section 7.4.1.3) has an extension of this type. False for what is none.
bool server_hello_has_extension(std::span<const std::uint8_t> message, std::uint16_t type);

// The suite that a ServerHello has chosen. Nothing for what is none.
std::optional<std::uint16_t> server_hello_suite(std::span<const std::uint8_t> message);

// Whether an ECDHE ServerKeyExchange (RFC 8422 section 5.4) is signed with rsa_pss_rsae_* (RFC 8446 section 4.2.3).
bool is_key_exchange_signed_with_pss(std::span<const std::uint8_t> message);

}  // namespace tlsmux::engine::tls
