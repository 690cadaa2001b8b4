#pragma once

// Which connections the rules of ssl_wrapper are about. Pure.

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "config/check/value_rules.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// An IPv4 address stands in its IPv4-mapped form (RFC 4291 section 2.5.5.2).
using PeerAddressBytes = std::array<std::uint8_t, 16>;

// All addresses of one family that begin with the same bits.
struct AddressRange {
  PeerAddressBytes first{};
  std::uint32_t prefix_bits = 128;  // of the 16 bytes
};

// "192.0.2.7", "192.0.2.0/24", "2001:db8::/32" (RFC 4632 section 3.1, RFC 4291 section 2.3). An error in words.
std::expected<AddressRange, std::string> parse_address_range(std::string_view text);

bool contains(const AddressRange& range, const PeerAddressBytes& address);
// Whether `range` contains all of `other`.
bool covers(const AddressRange& range, const AddressRange& other);

// What is wrong with a rule's name.
Problem name_pattern_problem(std::string_view pattern);

// "*.bank.example" fits all names that end in ".bank.example", at whatever depth. Upper and lower case are the same
// (RFC 6066 section 3), and a final dot of `name` does not count.
bool name_fits(std::string_view pattern, std::string_view name);

// The first rule that fits, of those by address or of those by name; null: none. It lives as long as `wrapper`.
const SslWrapperRule* rule_for_address(const SslWrapperSettings& wrapper, const PeerAddressBytes& address,
                                       std::uint16_t port);
const SslWrapperRule* rule_for_name(const SslWrapperSettings& wrapper, std::string_view name, std::uint16_t port);

// Whether `earlier`, standing before `rule`, leaves it no connection. A rule that names nothing covers nothing.
bool covers(const SslWrapperRule& earlier, const SslWrapperRule& rule);

}  // namespace tlsmux::config
