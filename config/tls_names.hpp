#pragma once

// The names that TLS settings may hold. What they mean to the TLS library is in engine/tls, in the same order.

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::config {

struct SuiteName {
  std::string_view name;  // of the IANA registry "TLS Cipher Suites"
  TlsVersion version;     // the only one that has it
};

// Best first: the order in which they are offered where the settings name none.
inline constexpr auto kSuiteNames = std::to_array<SuiteName>({
    {"TLS_AES_128_GCM_SHA256", TlsVersion::tls_1_3},
    {"TLS_AES_256_GCM_SHA384", TlsVersion::tls_1_3},
    {"TLS_CHACHA20_POLY1305_SHA256", TlsVersion::tls_1_3},
    {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", TlsVersion::tls_1_2},
    {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", TlsVersion::tls_1_2},
    {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", TlsVersion::tls_1_2},
    {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", TlsVersion::tls_1_2},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", TlsVersion::tls_1_2},
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", TlsVersion::tls_1_2},
});

// As in the IANA registry "TLS Supported Groups". Best first.
inline constexpr auto kGroupNames = std::to_array<std::string_view>({"x25519", "secp256r1", "secp384r1"});

std::vector<std::string_view> suite_names();

// Nothing for a suite that is not supported.
std::optional<TlsVersion> version_of_suite(std::string_view name);

}  // namespace tlsmux::config
