#pragma once

// From when to when our own certificate is valid: mbedTLS shows it to hosts in any case.

#include <cstdint>
#include <string>

#include "engine/tls/tls_material.hpp"

struct mbedtls_x509_crt;

namespace tlsmux::engine::tls {

// Such as "expired on 2026-11-21 18:33 UTC"; empty: it is valid. `now_s` is in seconds since 1970.
std::string validity_fault(const mbedtls_x509_crt& certificate, std::int64_t now_s);

// What to warn of: the first certificate in the file, which is ours, is not valid or will not be for long. Empty: nothing, or that
// there is none.
std::string own_certificate_warning(const PemFile& file, std::int64_t now_s);

}  // namespace tlsmux::engine::tls
