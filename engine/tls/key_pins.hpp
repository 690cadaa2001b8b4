#pragma once

// Pins compared with the keys of certificates (RFC 7469). Internal to this folder.

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "config/key_pin.hpp"

struct mbedtls_x509_crt;

namespace tlsmux::engine::tls {

// The error is a text that is no pin.
std::expected<std::vector<config::KeyHash>, std::string> parse_pins(std::span<const std::string> texts);

// Of the certificate's SubjectPublicKeyInfo (RFC 5280 section 4.1), as it stands in the certificate.
config::KeyHash key_hash(const mbedtls_x509_crt& certificate);

}  // namespace tlsmux::engine::tls
