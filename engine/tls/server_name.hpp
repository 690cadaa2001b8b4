#pragma once

// Whom a session is to reach: what goes into the server name extension, and what the certificate must be for.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

struct mbedtls_x509_crt;

namespace tlsmux::engine::tls {

struct ServerName {
  std::string text;  // without a final dot
  std::array<std::uint8_t, 16> address_bytes{};
  std::size_t address_size = 0;  // 4 or 16 if `text` is a literal address, else 0

  [[nodiscard]] bool is_address() const { return address_size != 0; }
  [[nodiscard]] std::span<const std::uint8_t> address() const { return std::span(address_bytes).first(address_size); }
};

ServerName parse_server_name(const std::string& text);

// Whether one of the certificate's subjectAltName entries is this address (RFC 9525 section 6.5).
bool certificate_has_address(const mbedtls_x509_crt& certificate, std::span<const std::uint8_t> address);

// The DNS names of the subjectAltName extension for an error text: printable, few, comma-separated. Empty: none.
std::string certificate_names(const mbedtls_x509_crt& certificate);

}  // namespace tlsmux::engine::tls
