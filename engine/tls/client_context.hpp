#pragma once

// What the sessions of one client share. Internal to this folder: it includes mbedTLS.

#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "config/key_pin.hpp"
#include "engine/tls/aead.hpp"
#include "engine/tls/certificate_check.hpp"
#include "engine/tls/credentials.hpp"
#include "engine/tls/handles.hpp"
#include "engine/tls/key_log.hpp"
#include "engine/tls/ticket_store.hpp"
#include "engine/tls/tls_library.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine::tls {

// Any thread, once configured. Its sessions hold it.
class ClientContext {
 public:
  // `key_log` may be null. `tickets` may be those of an earlier client with the same identity.
  ClientContext(const config::TlsSettings& settings, std::unique_ptr<Credentials> credentials,
                std::shared_ptr<KeyLog> key_log, std::shared_ptr<TicketStore> tickets)
      : settings_(settings),
        credentials_(std::move(credentials)),
        key_log_(std::move(key_log)),
        tickets_(std::move(tickets)) {}

  // Fails if a setting names what is not supported, or mbedTLS refuses it.
  std::expected<void, TlsError> configure(TlsLibrary& library);

  [[nodiscard]] const config::TlsSettings& settings() const { return settings_; }
  [[nodiscard]] const Credentials& credentials() const { return *credentials_; }
  [[nodiscard]] CertificateRules certificate_rules() const;
  [[nodiscard]] AeadLibrary aead_library() const { return aead_library_; }
  // Null: none.
  [[nodiscard]] KeyLog* key_log() const { return key_log_.get(); }
  // Whether the suite is among those that are offered.
  [[nodiscard]] bool offers(int suite) const;
  // For the next session to this server.
  [[nodiscard]] const mbedtls_ssl_config* config_for(const std::string& server_name);
  // Whether the next session to this server, and only that one, is to offer TLS 1.2 alone. Not if only 1.3 is allowed.
  void retry_with_tls_1_2(const std::string& server_name);
  [[nodiscard]] TicketStore& tickets() { return *tickets_; }
  [[nodiscard]] std::shared_ptr<TicketStore> shared_tickets() const { return tickets_; }

 private:
  std::expected<void, TlsError> configure(TlsLibrary& library, mbedtls_ssl_config* config,
                                          config::TlsVersion version_max);
  std::expected<void, TlsError> read_names();
  std::expected<void, TlsError> configure_certificates(mbedtls_ssl_config* config);

  // The configs point into these.
  config::TlsSettings settings_;
  std::unique_ptr<Credentials> credentials_;
  std::vector<int> suites_;             // ended by 0
  std::vector<std::uint16_t> groups_;   // ended by 0
  std::vector<const char*> protocols_;  // of ALPN, ended by null

  std::vector<config::KeyHash> pins_;
  std::shared_ptr<KeyLog> key_log_;
  AeadLibrary aead_library_ = AeadLibrary::mbedtls;
  ClientConfig config_;
  ClientConfig tls_1_2_config_;
  std::mutex mutex_;  // of the following
  std::set<std::string> retried_with_tls_1_2_;
  std::shared_ptr<TicketStore> tickets_;
};

}  // namespace tlsmux::engine::tls
