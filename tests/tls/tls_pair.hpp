// A session of the engine's and an OpenSSL host, joined in memory.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "engine/tls/mbedtls_client.hpp"
#include "engine/tls/tls_library.hpp"
#include "engine/tls/tls_session.hpp"
#include "tests/tls/certificates.hpp"
#include "tests/tls/openssl_host.hpp"

namespace tlsmux::test {

inline constexpr std::string_view kHostName = "host.example";

engine::tls::TlsLibrary& tls_library();
// Signs what the tests issue.
const Authority& authority();
// Of kHostName, by the authority.
const Identity& host_identity(KeyKind key = KeyKind::p256);

// That trusts the authority.
engine::tls::TlsMaterial trusting_material();
void add_certificate(engine::tls::TlsMaterial& material, const Identity& identity);
config::TlsSettings versions(config::TlsVersion min, config::TlsVersion max);
engine::tls::SecretBytes secret_bytes(std::string_view text);
std::unique_ptr<engine::tls::TlsClient> make_client(const config::TlsSettings& settings = {},
                                                    const engine::tls::TlsMaterial& material = trusting_material());

class TlsPair {
 public:
  TlsPair(engine::tls::TlsClient& client, OpenSslHost& host, std::string_view server_name = kHostName);

  // To the end or a failure. At most `step` bytes at a time go to the session and to the host.
  std::expected<void, engine::tls::TlsError> shake_hands(std::size_t step = 1 << 20);

  // Seals one record from the texts and gives it to the host.
  void seal(const std::vector<std::string>& parts);
  // Hands what is sealed to the host.
  void flush(std::size_t step = 1 << 20);
  // Gives what the host has sent to open(); what it opens is appended to received(). The first error ends it.
  std::expected<engine::tls::OpenState, engine::tls::TlsError> open_all(std::size_t step = 1 << 20);
  std::expected<engine::tls::OpenState, engine::tls::TlsError> open(std::span<const std::byte> bytes);

  [[nodiscard]] engine::tls::TlsSession& session() { return *session_; }
  [[nodiscard]] OpenSslConnection& host() { return connection_; }
  [[nodiscard]] engine::tls::WireBuffer& wire() { return wire_; }
  [[nodiscard]] const std::string& received() const { return received_; }

 private:
  std::unique_ptr<engine::tls::TlsSession> session_;
  OpenSslConnection connection_;
  std::vector<std::byte> wire_memory_;
  engine::tls::WireBuffer wire_;
  std::string received_;
};

}  // namespace tlsmux::test
