#include "tests/tls/tls_pair.hpp"

#include <algorithm>
#include <array>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::test {

using engine::tls::HandshakeState;
using engine::tls::OpenState;
using engine::tls::TlsError;

engine::tls::TlsLibrary& tls_library() {
  static const auto library = engine::tls::TlsLibrary::create().value();
  return *library;
}

const Authority& authority() {
  static const Authority made("tlsmux test authority");
  return made;
}

const Identity& host_identity(KeyKind key) {
  static const std::array<Identity, 3> made = {authority().issue({.key = KeyKind::p256}),
                                               authority().issue({.key = KeyKind::p384}),
                                               authority().issue({.key = KeyKind::rsa})};
  return made.at(static_cast<std::size_t>(key));
}

config::TlsSettings versions(config::TlsVersion min, config::TlsVersion max) {
  config::TlsSettings settings;
  settings.version_min = min;
  settings.version_max = max;
  return settings;
}

engine::tls::SecretBytes secret_bytes(std::string_view text) {
  engine::tls::SecretBytes secret(text.size());
  shm::copy_bytes(secret.bytes(), std::as_bytes(std::span(text)));
  return secret;
}

engine::tls::TlsMaterial trusting_material() {
  engine::tls::TlsMaterial material;
  material.ca_pem.push_back({.name = "ca.pem", .pem = authority().pem()});
  return material;
}

void add_certificate(engine::tls::TlsMaterial& material, const Identity& identity) {
  material.certificate_pem = {.name = "client.pem", .pem = identity.certificate_pem()};
  material.key_pem = {.name = "client.key", .pem = secret_bytes(identity.key_pem())};
}

std::unique_ptr<engine::tls::TlsClient> make_client(const config::TlsSettings& settings,
                                                    const engine::tls::TlsMaterial& material) {
  return engine::tls::make_mbedtls_client(tls_library(), settings, material).value();
}

TlsPair::TlsPair(engine::tls::TlsClient& client, OpenSslHost& host, std::string_view server_name)
    : session_(client.start(std::string(server_name)).value()),
      connection_(host),
      wire_memory_(100'000),
      wire_(wire_memory_) {}

namespace {

// Calls `take` with pieces of at most `step` bytes until it says false.
template <typename Take>
void in_steps(std::span<const std::byte> bytes, std::size_t step, Take take) {
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(step, bytes.size()));
    bytes = bytes.subspan(piece.size());
    if (!take(piece, bytes)) return;
  }
}

}  // namespace

std::expected<void, TlsError> TlsPair::shake_hands(std::size_t step) {
  std::vector<std::byte> to_host;
  std::vector<std::byte> to_client;
  auto state = session_->handshake({}, to_host);
  while (true) {
    in_steps(to_host, step, [&](auto piece, auto /*rest*/) {
      connection_.feed(piece);
      return true;
    });
    to_host.clear();
    if (!state) return std::unexpected(state.error());
    to_client = connection_.take_output();
    if (*state == HandshakeState::done) {
      // What came at the end belongs to the first open().
      if (!to_client.empty()) BIO_write(SSL_get_wbio(connection_.ssl()), to_client.data(), int(to_client.size()));
      return {};
    }
    if (to_client.empty()) return std::unexpected(TlsError{shm::Reason::handshake_timeout, "stalled"});
    std::span<const std::byte> unfed;
    in_steps(to_client, step, [&](auto piece, auto rest) {
      state = session_->handshake(piece, to_host);
      unfed = rest;
      return state && *state == HandshakeState::wants_bytes;
    });
    if (!unfed.empty()) BIO_write(SSL_get_wbio(connection_.ssl()), unfed.data(), int(unfed.size()));
  }
}

void TlsPair::seal(const std::vector<std::string>& parts) {
  std::vector<std::span<const std::byte>> spans;
  for (const auto& part : parts) spans.push_back(std::as_bytes(std::span(part)));
  const auto sealed = session_->seal(spans, wire_);
  TMX_ASSERT(sealed.has_value());
  flush();
}

void TlsPair::flush(std::size_t step) {
  in_steps(wire_.pending(), step, [&](auto piece, auto /*rest*/) {
    connection_.feed(piece);
    return true;
  });
  wire_.accept(wire_.pending().size());
}

std::expected<OpenState, TlsError> TlsPair::open(std::span<const std::byte> bytes) {
  std::vector<std::byte> received(bytes.begin(), bytes.end());
  return session_->open(
      received,
      [&](std::span<const std::byte> plaintext) {
        received_.append(reinterpret_cast<const char*>(plaintext.data()), plaintext.size());
      },
      wire_);
}

std::expected<OpenState, TlsError> TlsPair::open_all(std::size_t step) {
  std::expected<OpenState, TlsError> state = open({});
  in_steps(connection_.take_output(), step, [&](auto piece, auto /*rest*/) {
    if (state) state = open(piece);
    return state.has_value();
  });
  return state;
}

}  // namespace tlsmux::test
