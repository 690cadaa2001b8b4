#pragma once

// From mbedTLS's codes and a host's alerts to a reason and words.

#include "config/config.hpp"
#include "engine/tls/alert.hpp"
#include "engine/tls/tls_session.hpp"

struct mbedtls_x509_crt;

namespace tlsmux::engine::tls {

// What was known when a session failed.
struct SessionProgress {
  const config::TlsSettings& settings;  // outlives this
  bool server_hello_seen = false;
  bool certificate_requested = false;                 // by the host, of us
  const mbedtls_x509_crt* own_certificate = nullptr;  // null: none is configured; else it outlives this
};

// The host sent a fatal alert, during the handshake or after.
TlsError handshake_alert_error(Alert alert, const SessionProgress& progress);
TlsError data_alert_error(Alert alert, const SessionProgress& progress);

// The host chose a suite that was not offered.
TlsError unoffered_suite_error(int suite, const SessionProgress& progress);

// mbedTLS failed by itself with `code`, other than in checking the host's certificate.
TlsError handshake_code_error(int code, const SessionProgress& progress);

// Whether `code` means that the host's certificate did not verify.
bool is_certificate_code(int code);

}  // namespace tlsmux::engine::tls
