#include "engine/tls/cipher_suites.hpp"

#include <mbedtls/ssl_ciphersuites.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace tlsmux::engine::tls {
namespace {

struct Suite {
  int number;
  std::string_view name;
};

// In the order of config/tls_names.hpp.
constexpr auto kSuites = std::to_array<Suite>({
    // TLS 1.3 (RFC 8446 appendix B.4)
    {0x1301, "TLS_AES_128_GCM_SHA256"},
    {0x1302, "TLS_AES_256_GCM_SHA384"},
    {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
    // TLS 1.2 with AES-GCM (RFC 5289)
    {0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    // TLS 1.2 with ChaCha20-Poly1305 (RFC 7905)
    {0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
});

}  // namespace

std::expected<std::vector<int>, std::string> suite_numbers(std::span<const std::string> names) {
  std::vector<int> numbers;
  if (names.empty()) {
    for (const Suite& suite : kSuites) numbers.push_back(suite.number);
  }
  for (const std::string& name : names) {
    const auto* found = std::ranges::find(kSuites, name, &Suite::name);
    if (found == kSuites.end()) return std::unexpected(name);
    numbers.push_back(found->number);
  }
  numbers.push_back(0);
  return numbers;
}

std::string cipher_suite_name(int suite) {
  const auto* found = std::ranges::find(kSuites, suite, &Suite::number);
  if (found != kSuites.end()) return std::string(found->name);
  if (const auto* known = mbedtls_ssl_ciphersuite_from_id(suite); known != nullptr) {
    // The IANA name but for the strokes.
    std::string name = mbedtls_ssl_ciphersuite_get_name(known);
    std::ranges::replace(name, '-', '_');
    return name;
  }
  std::array<char, 16> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "0x%04X", static_cast<unsigned>(suite)));
  return text.data();
}

}  // namespace tlsmux::engine::tls
