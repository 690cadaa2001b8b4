#pragma once

// What the sessions of one client share. Internal to this folder: it includes mbedTLS.

#include <expected>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "config/config.hpp"
#include "engine/tls/credentials.hpp"
#include "engine/tls/handles.hpp"
#include "engine/tls/ticket_store.hpp"
#include "engine/tls/tls_library.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine::tls {

// Any thread, once configured. Its sessions hold it.
class ClientContext {
 public:
  ClientContext(const config::TlsSettings& settings, std::unique_ptr<Credentials> credentials)
      : settings_(settings), credentials_(std::move(credentials)) {}

  // Fails if mbedTLS refuses a setting.
  std::expected<void, TlsError> configure(TlsLibrary& library);

  [[nodiscard]] const config::TlsSettings& settings() const { return settings_; }
  [[nodiscard]] const Credentials& credentials() const { return *credentials_; }
  // For the next session to this server.
  [[nodiscard]] const mbedtls_ssl_config* config_for(const std::string& server_name);
  // Whether the next session to this server, and only that one, is to offer TLS 1.2 alone. Not if only 1.3 is allowed.
  void retry_with_tls_1_2(const std::string& server_name);
  [[nodiscard]] TicketStore& tickets() { return tickets_; }

 private:
  std::expected<void, TlsError> configure(TlsLibrary& library, mbedtls_ssl_config* config,
                                          config::TlsVersion version_max);

  config::TlsSettings settings_;
  std::unique_ptr<Credentials> credentials_;  // the config points into it
  ClientConfig config_;
  ClientConfig tls_1_2_config_;
  std::mutex mutex_;  // of the following
  std::set<std::string> retried_with_tls_1_2_;
  TicketStore tickets_;
};

}  // namespace tlsmux::engine::tls
