#pragma once

// Alerts as a host sends them, for error texts (RFC 8446 section 6, RFC 5246 section 7.2).

#include <cstdint>
#include <string>

namespace tlsmux::engine::tls {

enum class Alert : std::uint8_t {
  close_notify = 0,
  unexpected_message = 10,
  bad_record_mac = 20,
  record_overflow = 22,
  handshake_failure = 40,
  bad_certificate = 42,
  unsupported_certificate = 43,
  certificate_revoked = 44,
  certificate_expired = 45,
  certificate_unknown = 46,
  illegal_parameter = 47,
  unknown_ca = 48,
  access_denied = 49,
  decode_error = 50,
  protocol_version = 70,
  insufficient_security = 71,
  internal_error = 80,
  user_canceled = 90,
  no_renegotiation = 100,
  unrecognized_name = 112,
  certificate_required = 116,
  no_application_protocol = 120,
};

// "alert handshake_failure"; "alert 200" for one that has no name.
std::string alert_text(Alert alert);

// Whether it says that the peer does not like our certificate, or that it has none.
bool is_about_certificate(Alert alert);

}  // namespace tlsmux::engine::tls
