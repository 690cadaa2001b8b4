#pragma once

// Names and times of certificates for error texts. Internal to this folder.

#include <cstdint>
#include <string>

struct mbedtls_x509_time;
struct mbedtls_asn1_named_data;

namespace tlsmux::engine::tls {

// "2026-11-21 18:33 UTC"
std::string time_text(const mbedtls_x509_time& time);
std::string time_text(std::int64_t epoch_s);

// "CN=host.example", printable.
std::string name_text(const mbedtls_asn1_named_data& name);

// Seconds since 1970.
std::int64_t epoch_seconds(const mbedtls_x509_time& time);

}  // namespace tlsmux::engine::tls
