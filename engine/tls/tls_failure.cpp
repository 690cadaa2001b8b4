#include "engine/tls/tls_failure.hpp"

#include <mbedtls/platform_time.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509.h>

#include <span>
#include <string>

#include "engine/tls/cipher_suites.hpp"
#include "engine/tls/expiry.hpp"
#include "engine/tls/handles.hpp"

namespace tlsmux::engine::tls {
namespace {

using shm::Reason;

std::string list_of(std::span<const std::string> names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// What a host never tells of itself we can at least tell of us.
std::string offer_text(const config::TlsSettings& settings) {
  const std::string suites = settings.suites.empty()
                                 ? "ECDHE with AES-GCM or ChaCha20-Poly1305 (never CBC or RSA key exchange)"
                                 : list_of(settings.suites);
  return suites + ", on " + (settings.groups.empty() ? "x25519, secp256r1 or secp384r1" : list_of(settings.groups));
}

std::string versions_text(const SessionProgress& progress) {
  const auto text = [](config::TlsVersion version) { return version == config::TlsVersion::tls_1_2 ? "1.2" : "1.3"; };
  const auto min = progress.settings.version_min;
  const auto max = progress.settings.version_max;
  return std::string("TLS ") + text(min) + (min == max ? "" : std::string(" to ") + text(max));
}

TlsError rejected_certificate(Alert alert, const SessionProgress& progress) {
  std::string words = "the host demands a client certificate and none is configured (certificate_file, key_file)";
  if (progress.own_certificate != nullptr) {
    words = "the host rejected our client certificate";
    const auto fault = validity_fault(validity_of(*progress.own_certificate), mbedtls_time(nullptr));
    if (!fault.empty()) words += ", which " + fault;
  }
  return {Reason::certificate_rejected_by_host, words + ": " + alert_text(alert)};
}

// In TLS 1.2 a host that misses a client certificate may just say handshake_failure (RFC 5246 section 7.4.6).
bool is_about_our_certificate(Alert alert, const SessionProgress& progress) {
  if (is_about_certificate(alert)) return true;
  if (!progress.certificate_requested) return false;
  return alert == Alert::access_denied || (alert == Alert::handshake_failure && progress.own_certificate == nullptr);
}

}  // namespace

TlsError handshake_alert_error(Alert alert, const SessionProgress& progress) {
  if (is_about_our_certificate(alert, progress)) return rejected_certificate(alert, progress);
  if (alert == Alert::protocol_version) {
    return {Reason::no_common_version, "the host speaks none of the versions allowed here, " + versions_text(progress) +
                                           ": alert protocol_version"};
  }
  if (!progress.server_hello_seen && (alert == Alert::handshake_failure || alert == Alert::insufficient_security)) {
    return {Reason::no_common_suite, "the host accepts none of the suites and groups offered, which are " +
                                         offer_text(progress.settings) + ": " + alert_text(alert)};
  }
  if (alert == Alert::no_application_protocol) {
    return {Reason::handshake_failed, "the host speaks none of the protocols offered (alpn), which are " +
                                          list_of(progress.settings.alpn) + ": " + alert_text(alert)};
  }
  if (alert == Alert::unrecognized_name) {
    return {Reason::handshake_failed,
            "the host does not know the server name it was asked for: alert unrecognized_name"};
  }
  return {Reason::handshake_failed, "the host ended the handshake: " + alert_text(alert)};
}

TlsError data_alert_error(Alert alert, const SessionProgress& progress) {
  // TLS 1.3 checks the client's certificate after the client's handshake is done (RFC 8446 section 4.4.2.4).
  if (is_about_our_certificate(alert, progress)) return rejected_certificate(alert, progress);
  if (alert == Alert::bad_record_mac) {
    return {Reason::record_corrupt, "a record from here did not verify at the host: alert bad_record_mac"};
  }
  return {Reason::host_closed, "the host ended the session: " + alert_text(alert)};
}

TlsError unoffered_suite_error(int suite, const SessionProgress& progress) {
  return {Reason::no_common_suite, "the host chose " + cipher_suite_name(suite) +
                                       ", which was not offered; offered were " + offer_text(progress.settings)};
}

TlsError handshake_code_error(int code, const SessionProgress& progress) {
  switch (code) {
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
      return {Reason::no_common_version,
              "the host chose a version that is not allowed here (" + versions_text(progress) + ")"};
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
      return {Reason::handshake_failed, "the host closed the session during the handshake"};
    case MBEDTLS_ERR_SSL_INVALID_RECORD:
      if (progress.server_hello_seen) break;
      return {Reason::handshake_failed, "the host does not speak TLS on this port: it sent something else"};
    case MBEDTLS_ERR_SSL_INVALID_MAC:
      return {Reason::handshake_failed, "a handshake record from the host did not verify"};
    default: break;
  }
  return {Reason::handshake_failed, "the TLS handshake failed: " + library_words(code)};
}

bool is_certificate_code(int code) {
  // The codes of X.509, and the one for a certificate that cannot be used.
  return code == MBEDTLS_ERR_SSL_BAD_CERTIFICATE || code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ||
         code == MBEDTLS_ERR_X509_FATAL_ERROR;
}

}  // namespace tlsmux::engine::tls
