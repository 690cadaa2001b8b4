#pragma once

// The only place that reads and writes fields which mbedTLS keeps private. The source pins the version that was read.

#include <mbedtls/ssl.h>

#include <cstdint>
#include <span>

namespace tlsmux::engine::tls {

// One of mbedtls_ssl_states.
[[nodiscard]] int handshake_state(const mbedtls_ssl_context& ssl);

// The handshake message that was parsed last, with its header of 4 bytes (RFC 5246 section 7.4). Valid until mbedTLS
// reads the next record. Empty if the last record was none.
[[nodiscard]] std::span<const std::uint8_t> handshake_message(const mbedtls_ssl_context& ssl);

// The description of the alert that mbedTLS has just reported as fatal (RFC 8446 section 6).
[[nodiscard]] std::uint8_t alert_description(const mbedtls_ssl_context& ssl);

// Sequence numbers of the next records.
[[nodiscard]] std::uint64_t send_sequence(const mbedtls_ssl_context& ssl);
[[nodiscard]] std::uint64_t receive_sequence(const mbedtls_ssl_context& ssl);
void set_receive_sequence(mbedtls_ssl_context& ssl, std::uint64_t sequence);

// Whether mbedTLS holds nothing that was received and not looked at, and nothing to be sent: then another record layer
// can go on in its place.
[[nodiscard]] bool is_between_records(const mbedtls_ssl_context& ssl);

struct ResumptionFacts {
  bool can_resume = false;       // there is a ticket or a session identifier
  std::uint32_t lifetime_s = 0;  // as the host says; 0: it does not
};
[[nodiscard]] ResumptionFacts resumption_facts(const mbedtls_ssl_session& session);

}  // namespace tlsmux::engine::tls
