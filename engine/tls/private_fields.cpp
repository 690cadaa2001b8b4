#include "engine/tls/private_fields.hpp"

#include <mbedtls/build_info.h>

#include <cstddef>

namespace tlsmux::engine::tls {

// Read in 3.6.6. A new minor version may change what the fields mean: read ssl.h and ssl_msg.c again before changing
// this.
static_assert(MBEDTLS_VERSION_NUMBER >= 0x03060000 && MBEDTLS_VERSION_NUMBER < 0x03070000,
              "engine/tls/private_fields.cpp was written for mbedTLS 3.6");

int handshake_state(const mbedtls_ssl_context& ssl) { return ssl.MBEDTLS_PRIVATE(state); }

std::span<const std::uint8_t> handshake_message(const mbedtls_ssl_context& ssl) {
  if (ssl.MBEDTLS_PRIVATE(in_msgtype) != MBEDTLS_SSL_MSG_HANDSHAKE || ssl.MBEDTLS_PRIVATE(in_msg) == nullptr) {
    return {};
  }
  return {ssl.MBEDTLS_PRIVATE(in_msg), ssl.MBEDTLS_PRIVATE(in_hslen)};
}

std::uint8_t alert_description(const mbedtls_ssl_context& ssl) { return ssl.MBEDTLS_PRIVATE(in_msg)[1]; }

namespace {

std::uint64_t big_endian_64(const unsigned char* bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = (value << 8) | bytes[i];
  return value;
}

}  // namespace

std::uint64_t send_sequence(const mbedtls_ssl_context& ssl) { return big_endian_64(ssl.MBEDTLS_PRIVATE(cur_out_ctr)); }

std::uint64_t receive_sequence(const mbedtls_ssl_context& ssl) { return big_endian_64(ssl.MBEDTLS_PRIVATE(in_ctr)); }

void set_receive_sequence(mbedtls_ssl_context& ssl, std::uint64_t sequence) {
  for (std::size_t i = 8; i-- > 0; sequence >>= 8)
    ssl.MBEDTLS_PRIVATE(in_ctr)[i] = static_cast<unsigned char>(sequence);
}

bool is_between_records(const mbedtls_ssl_context& ssl) {
  return ssl.MBEDTLS_PRIVATE(in_left) == 0 && ssl.MBEDTLS_PRIVATE(out_left) == 0 &&
         mbedtls_ssl_check_pending(&ssl) == 0;
}

ResumptionFacts resumption_facts(const mbedtls_ssl_session& session) {
  return {.can_resume = session.MBEDTLS_PRIVATE(ticket_len) > 0 || session.MBEDTLS_PRIVATE(id_len) > 0,
          .lifetime_s = session.MBEDTLS_PRIVATE(ticket_lifetime)};
}

}  // namespace tlsmux::engine::tls
