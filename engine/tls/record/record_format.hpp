#pragma once

// What TLS records look like (RFC 8446 section 5, RFC 5246 section 6.2).

#include <cstddef>
#include <cstdint>

namespace tlsmux::engine::tls {

inline constexpr std::uint16_t kTls12 = 0x0303;
inline constexpr std::uint16_t kTls13 = 0x0304;

enum class ContentType : std::uint8_t { change_cipher_spec = 20, alert = 21, handshake = 22, application_data = 23 };

inline constexpr std::size_t kRecordHeaderBytes = 5;      // type, version, length
inline constexpr std::size_t kPlaintextBytesMax = 16384;  // of one record
// A whole record of either version: the tag comes on top, and the type in 1.3 or the explicit nonce of AES-GCM in 1.2.
inline constexpr std::size_t kRecordBytesMax = kRecordHeaderBytes + 8 + kPlaintextBytesMax + 16;

// Types of handshake messages that may come after the handshake (RFC 8446 section 4, RFC 5246 section 7.4).
enum class PostHandshakeType : std::uint8_t {
  hello_request = 0,
  client_hello = 1,
  new_session_ticket = 4,
  key_update = 24,
};

inline constexpr std::size_t kHandshakeHeaderBytes = 4;  // type, length

}  // namespace tlsmux::engine::tls
