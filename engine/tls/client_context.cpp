#include "engine/tls/client_context.hpp"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ssl.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "engine/tls/cipher_suites.hpp"
#include "engine/tls/key_exchange_groups.hpp"
#include "engine/tls/key_pins.hpp"

namespace tlsmux::engine::tls {
namespace {

// PKCS#1 stands before PSS: mbedTLS 3.6.6 offers PSS along with TLS 1.3 but refuses it in TLS 1.2, so that a host with
// an RSA key that stays with TLS 1.2 must not choose it. In TLS 1.3 only certificates may be signed with PKCS#1.
constexpr std::array<std::uint16_t, 10> kSignatureAlgorithms = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,    MBEDTLS_TLS1_3_SIG_NONE};

mbedtls_ssl_protocol_version library_version(config::TlsVersion version) {
  return version == config::TlsVersion::tls_1_2 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3;
}

}  // namespace

std::expected<void, TlsError> ClientContext::read_names() {
  const auto unknown = [](const char* key, const std::string& name) {
    return std::unexpected(TlsError{.words = std::string(key) + " holds what is not supported: \"" + name + "\""});
  };
  auto suites = suite_numbers(settings_.suites);
  if (!suites) return unknown("suites", suites.error());
  auto groups = group_numbers(settings_.groups);
  if (!groups) return unknown("groups", groups.error());
  auto pins = parse_pins(settings_.pins);
  if (!pins) return unknown("pins", pins.error());
  suites_ = std::move(*suites);
  groups_ = std::move(*groups);
  pins_ = std::move(*pins);
  for (const std::string& protocol : settings_.alpn) protocols_.push_back(protocol.c_str());
  protocols_.push_back(nullptr);
  return {};
}

CertificateRules ClientContext::certificate_rules() const {
  return {.verify_peer = settings_.verify_peer,
          .ca_file = settings_.ca_file,
          .ca_directory = settings_.ca_directory,
          .revocation_lists = credentials_->has_revocation_lists ? credentials_->revocation_lists.get() : nullptr,
          .pins = pins_};
}

bool ClientContext::offers(int suite) const { return suite != 0 && std::ranges::find(suites_, suite) != suites_.end(); }

std::expected<void, TlsError> ClientContext::configure(TlsLibrary& library) {
  if (auto read = read_names(); !read) return read;
  aead_library_ = library.aead_library();
  auto configured = configure(library, config_.get(), settings_.version_max);
  if (!configured || settings_.version_min != config::TlsVersion::tls_1_2) return configured;
  return configure(library, tls_1_2_config_.get(), config::TlsVersion::tls_1_2);
}

const mbedtls_ssl_config* ClientContext::config_for(const std::string& server_name) {
  const std::lock_guard lock(mutex_);
  return retried_with_tls_1_2_.erase(server_name) == 1 ? tls_1_2_config_.get() : config_.get();
}

void ClientContext::retry_with_tls_1_2(const std::string& server_name) {
  if (settings_.version_min != config::TlsVersion::tls_1_2) return;
  const std::lock_guard lock(mutex_);
  retried_with_tls_1_2_.insert(server_name);
}

std::expected<void, TlsError> ClientContext::configure(TlsLibrary& library, mbedtls_ssl_config* config,
                                                       config::TlsVersion version_max) {
  int code = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
  if (code != 0) return std::unexpected(TlsError{.words = "TLS cannot be set up: " + library_words(code)});

  mbedtls_ssl_conf_rng(config, mbedtls_ctr_drbg_random, &library.random());
  mbedtls_ssl_conf_min_tls_version(config, library_version(settings_.version_min));
  mbedtls_ssl_conf_max_tls_version(config, library_version(version_max));
  mbedtls_ssl_conf_ciphersuites(config, suites_.data());
  mbedtls_ssl_conf_sig_algs(config, kSignatureAlgorithms.data());
  mbedtls_ssl_conf_groups(config, groups_.data());
  mbedtls_ssl_conf_tls13_key_exchange_modes(config, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ALL);
  mbedtls_ssl_conf_extended_master_secret(config, MBEDTLS_SSL_EXTENDED_MS_ENABLED);
  mbedtls_ssl_conf_renegotiation(config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
  mbedtls_ssl_conf_session_tickets(config, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
  mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(config,
                                                           MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);

  if (!settings_.alpn.empty()) {
    code = mbedtls_ssl_conf_alpn_protocols(config, protocols_.data());
    if (code != 0) return std::unexpected(TlsError{.words = "alpn cannot be offered: " + library_words(code)});
  }
  return configure_certificates(config);
}

std::expected<void, TlsError> ClientContext::configure_certificates(mbedtls_ssl_config* config) {
  // Without a check by mbedTLS there would be none of the pins either; whether the rest counts is CertificateCheck's.
  const int unverified = pins_.empty() ? MBEDTLS_SSL_VERIFY_NONE : MBEDTLS_SSL_VERIFY_OPTIONAL;
  mbedtls_ssl_conf_authmode(config, settings_.verify_peer ? MBEDTLS_SSL_VERIFY_REQUIRED : unverified);
  if (credentials_->has_authorities) {
    mbedtls_ssl_conf_ca_chain(config, credentials_->authorities.get(),
                              credentials_->has_revocation_lists ? credentials_->revocation_lists.get() : nullptr);
  }
  if (!credentials_->has_certificate) return {};
  const int code = mbedtls_ssl_conf_own_cert(config, credentials_->certificate.get(), credentials_->key.get());
  if (code == 0) return {};
  return std::unexpected(TlsError{.words = "the client certificate cannot be used: " + library_words(code)});
}

}  // namespace tlsmux::engine::tls
