#include "engine/tls/key_exchange_groups.hpp"

#include <mbedtls/ssl.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace tlsmux::engine::tls {
namespace {

struct Group {
  std::uint16_t number;
  std::string_view name;
};

// In the order of config/tls_names.hpp.
constexpr auto kGroups = std::to_array<Group>({
    {MBEDTLS_SSL_IANA_TLS_GROUP_X25519, "x25519"},
    {MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, "secp256r1"},
    {MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, "secp384r1"},
});

}  // namespace

std::expected<std::vector<std::uint16_t>, std::string> group_numbers(std::span<const std::string> names) {
  std::vector<std::uint16_t> numbers;
  if (names.empty()) {
    for (const Group& group : kGroups) numbers.push_back(group.number);
  }
  for (const std::string& name : names) {
    const auto* found = std::ranges::find(kGroups, name, &Group::name);
    if (found == kGroups.end()) return std::unexpected(name);
    numbers.push_back(found->number);
  }
  numbers.push_back(MBEDTLS_SSL_IANA_TLS_GROUP_NONE);
  return numbers;
}

}  // namespace tlsmux::engine::tls
