#include "config/peer_rules.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <span>
#include <system_error>

#include "config/limits.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::uint32_t kAddressBits = 128;
constexpr std::uint32_t kIpv4Bits = 32;
constexpr std::size_t kIpv4At = 12;  // in the IPv4-mapped form
constexpr std::string_view kAnyBelow = "*.";

bool is_ipv4(const PeerAddressBytes& address) {
  constexpr std::array<std::uint8_t, kIpv4At> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

std::optional<PeerAddressBytes> parse_address(const std::string& text) {
  PeerAddressBytes address{};
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  address[kIpv4At - 2] = address[kIpv4At - 1] = 0xff;
  if (inet_pton(AF_INET, text.c_str(), &address[kIpv4At]) == 1) return address;
  return std::nullopt;
}

std::string text_of(const PeerAddressBytes& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool ipv4 = is_ipv4(address);
  inet_ntop(ipv4 ? AF_INET : AF_INET6, address.data() + (ipv4 ? kIpv4At : 0), text.data(), text.size());
  return text.data();
}

PeerAddressBytes network_of(PeerAddressBytes address, std::uint32_t prefix_bits) {
  for (std::uint32_t bit = prefix_bits; bit < kAddressBits; ++bit) {
    address[bit / 8] = static_cast<std::uint8_t>(address[bit / 8] & ~(0x80U >> bit % 8));
  }
  return address;
}

std::optional<std::uint32_t> parse_prefix(std::string_view digits, std::uint32_t bits_max) {
  std::uint32_t bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  const bool whole = error == std::errc{} && end == digits.data() + digits.size();
  const bool has_zeros = digits.size() > 1 && digits.starts_with('0');
  if (!whole || has_zeros || bits > bits_max) return std::nullopt;
  return bits;
}

char lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
}

bool same_name(std::string_view one, std::string_view other) {
  return std::ranges::equal(one, other, {}, lower, lower);
}

bool is_label(std::string_view label) {
  const auto may_stand = [](char character) {
    const char small = lower(character);
    return (small >= 'a' && small <= 'z') || (small >= '0' && small <= '9') || small == '-' || small == '_';
  };
  return !label.empty() && label.size() <= kHostLabelBytesMax && std::ranges::all_of(label, may_stand);
}

bool are_labels(std::string_view name) {
  while (true) {
    const std::size_t dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

std::expected<AddressRange, std::string> parse_address_range(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address(std::string(text.substr(0, slash)));
  if (!address) {
    return std::unexpected("must be " + std::string(expected_text(TextKind::address_range)) + ", is " +
                           in_quotes(text));
  }
  const bool ipv4 = is_ipv4(*address);
  if (ipv4 && text.contains(':')) {
    return std::unexpected("is the IPv4 address \"" + text_of(*address) + "\" in the form of IPv6; write that one");
  }
  if (slash == std::string_view::npos) return AddressRange{.first = *address, .prefix_bits = kAddressBits};
  const std::uint32_t bits_max = ipv4 ? kIpv4Bits : kAddressBits;
  const auto bits = parse_prefix(text.substr(slash + 1), bits_max);
  if (!bits) {
    return std::unexpected("must have a prefix length between 0 and " + std::to_string(bits_max) + ", is " +
                           in_quotes(text));
  }
  const AddressRange range{.first = *address, .prefix_bits = kAddressBits - bits_max + *bits};
  const PeerAddressBytes network = network_of(*address, range.prefix_bits);
  if (network != *address) {
    return std::unexpected("has bits behind its prefix, is " + in_quotes(text) + "; did you mean \"" +
                           text_of(network) + "/" + std::to_string(*bits) + "\"?");
  }
  return range;
}

bool contains(const AddressRange& range, const PeerAddressBytes& address) {
  return is_ipv4(range.first) == is_ipv4(address) && network_of(address, range.prefix_bits) == range.first;
}

bool covers(const AddressRange& range, const AddressRange& other) {
  return range.prefix_bits <= other.prefix_bits && contains(range, other.first);
}

Problem name_pattern_problem(std::string_view pattern) {
  const bool any_below = pattern.starts_with(kAnyBelow);
  const std::string_view name = any_below ? pattern.substr(kAnyBelow.size()) : pattern;
  if (name.contains('*')) {
    return R"(may hold "*" in the place of the first labels only, as in "*.bank.example", is )" + in_quotes(pattern);
  }
  if (parse_address(std::string(pattern))) {
    return "is " + in_quotes(pattern) + ", but an address is never sent as a server name (RFC 6066 section 3); " +
           "give it as \"address\"";
  }
  if (pattern.size() > kHostBytesMax) {
    return "must be at most " + std::to_string(kHostBytesMax) + " bytes long, is " + std::to_string(pattern.size());
  }
  if (are_labels(name)) return std::nullopt;
  return "must be " + std::string(expected_text(TextKind::name_pattern)) + ", is " + in_quotes(pattern);
}

bool name_fits(std::string_view pattern, std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (!pattern.starts_with(kAnyBelow)) return same_name(pattern, name);
  const std::string_view ending = pattern.substr(1);
  return name.size() > ending.size() && same_name(name.substr(name.size() - ending.size()), ending);
}

const SslWrapperRule* rule_for_address(const SslWrapperSettings& wrapper, const PeerAddressBytes& address,
                                       std::uint16_t port) {
  for (const SslWrapperRule& rule : wrapper.rules) {
    if (rule.address.empty() || rule.port != port) continue;
    const auto range = parse_address_range(rule.address);
    if (range && contains(*range, address)) return &rule;
  }
  return nullptr;
}

const SslWrapperRule* rule_for_name(const SslWrapperSettings& wrapper, std::string_view name, std::uint16_t port) {
  const auto fits = [&](const SslWrapperRule& rule) {
    return !rule.name.empty() && rule.port == port && name_fits(rule.name, name);
  };
  const auto found = std::ranges::find_if(wrapper.rules, fits);
  return found == wrapper.rules.end() ? nullptr : &*found;
}

bool covers(const SslWrapperRule& earlier, const SslWrapperRule& rule) {
  if (earlier.port != rule.port) return false;
  if (!rule.name.empty()) {
    return !earlier.name.empty() && (same_name(earlier.name, rule.name) || name_fits(earlier.name, rule.name));
  }
  const auto range = parse_address_range(earlier.address);
  const auto other = parse_address_range(rule.address);
  return range && other && covers(*range, *other);
}

}  // namespace tlsmux::config
