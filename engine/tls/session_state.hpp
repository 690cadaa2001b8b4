#pragma once

// What the record layer needs to know of a session, apart from mbedTLS: enough to go on sealing and opening, here or in
// another process. Plain bytes, so that it can be handed over as they are. It holds secrets: keep it in a Locked or Wiped.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace tlsmux::engine::tls {

inline constexpr std::size_t kSecretBytesMax = 48;

enum class Role : std::uint8_t { client, server };

constexpr Role other(Role role) { return role == Role::client ? Role::server : Role::client; }

struct SessionState {
  Role role = Role::client;   // ours
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

// Of TLS 1.3: that of what `sender` sends.
inline std::span<std::uint8_t> traffic_secret(SessionState& state, Role sender) {
  return std::span(sender == Role::client ? state.client_secret : state.server_secret).first(state.secret_bytes);
}

}  // namespace tlsmux::engine::tls
