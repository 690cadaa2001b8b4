#pragma once

// What a record layer needs to know of a session, apart from mbedTLS: enough to go on sealing and opening, here or in
// another process. Plain bytes, so that it can be handed over as they are. It holds secrets: keep it in a Wiped.

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tlsmux::engine::tls {

inline constexpr std::size_t kSecretBytesMax = 48;

struct SessionState {
  std::uint16_t version = 0;  // as on the wire: 0x0303, 0x0304
  std::uint16_t suite = 0;    // IANA number

  // TLS 1.3 (RFC 8446 section 7.1): the application traffic secrets in use, `secret_bytes` each.
  // TLS 1.2 (RFC 5246 section 8.1): the master secret, 48 bytes, and both randoms.
  std::uint8_t secret_bytes = 0;
  std::array<std::uint8_t, kSecretBytesMax> client_secret{};
  std::array<std::uint8_t, kSecretBytesMax> server_secret{};
  std::array<std::uint8_t, kSecretBytesMax> master_secret{};
  std::array<std::uint8_t, 32> client_random{};
  std::array<std::uint8_t, 32> server_random{};

  // Sequence number of the next record in each direction.
  std::uint64_t send_sequence = 0;
  std::uint64_t receive_sequence = 0;
};

static_assert(std::is_trivially_copyable_v<SessionState>);
static_assert(std::is_standard_layout_v<SessionState>);

}  // namespace tlsmux::engine::tls
