#include "config/check/value_rules.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "config/key_pin.hpp"
#include "config/limits.hpp"
#include "config/peer_rules.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits = "0123456789";

bool consists_of(std::string_view text, std::string_view also) {
  return std::ranges::all_of(text, [also](char character) {
    return kLetters.contains(character) || kDigits.contains(character) || also.contains(character);
  });
}

bool is_ipv6_address(std::string_view text) {
  const std::string address(text.substr(0, text.find('%')));  // a zone may follow, RFC 4007 section 11
  std::array<unsigned char, 16> bytes{};
  return inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1;
}

Problem must_be(TextKind kind, std::string_view text) {
  return "must be " + std::string(expected_text(kind)) + ", is " + in_quotes(text);
}

Problem too_long(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::nullopt;
  return "must be at most " + std::to_string(bytes_max) + " bytes long, is " + std::to_string(text.size());
}

Problem host_problem(std::string_view host) {
  if (host.starts_with('[')) {
    return "must be written without brackets here, is " + in_quotes(host);
  }
  if (!consists_of(host, "-._:%")) return must_be(TextKind::host, host);
  if (host.contains(':')) {
    if (is_ipv6_address(host)) return std::nullopt;
    return "must be a host name or address without a port, is " + in_quotes(host) + "; the port has its own key";
  }
  if (host.contains('%')) return must_be(TextKind::host, host);
  return too_long(host, kHostBytesMax);
}

bool is_ipv4_address(std::string_view text) {
  std::array<unsigned char, 4> bytes{};
  return inet_pton(AF_INET, std::string(text).c_str(), bytes.data()) == 1;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(
      text, [](char character) { return static_cast<unsigned char>(character) < 0x20 || character == 0x7f; });
}

bool are_digits(std::string_view text, std::size_t count_min, std::size_t count_max) {
  return text.size() >= count_min && text.size() <= count_max &&
         text.find_first_not_of(kDigits) == std::string_view::npos;
}

bool are_distinct(std::string_view text) {
  return std::ranges::all_of(text, [text](char character) { return std::ranges::count(text, character) == 1; });
}

// Printable ASCII but for what would have to be escaped, and the slash, which no program's file name has.
bool is_program(std::string_view text) {
  return text.size() <= kProgramBytesMax && std::ranges::all_of(text, [](char character) {
           return character >= 0x20 && character < 0x7f && !std::string_view("\"\\/").contains(character);
         });
}

// Whether the text is right for the kinds that have one rule only.
bool fits(TextKind kind, std::string_view text) {
  switch (kind) {
    case TextKind::name: return text.size() <= kNameBytesMax && consists_of(text, "_.-");
    case TextKind::address: return is_ipv4_address(text) || is_ipv6_address(text);
    case TextKind::pin: return parse_pin(text).has_value();
    case TextKind::tls_name: return text.size() <= kTlsNameBytesMax && consists_of(text, "_-");
    case TextKind::mti: return are_digits(text, 4, 4);
    case TextKind::mti_start: return are_digits(text, 1, 4);
    case TextKind::processing_code_start: return are_digits(text, 1, 6);
    case TextKind::digit_map: return are_digits(text, 10, 10);
    case TextKind::digit_set: return are_digits(text, 1, 10) && are_distinct(text);
    case TextKind::port_label: return text.size() <= kPortLabelBytesMax && consists_of(text, "_.+-");
    case TextKind::program: return is_program(text);
    default: return true;
  }
}

Problem path_problem(TextKind kind, std::string_view path) {
  if (!path.starts_with('/')) return must_be(kind, path);
  return too_long(path, kind == TextKind::socket_path ? kSocketPathBytesMax : kPathBytesMax);
}

Problem address_range_problem(std::string_view text) {
  auto range = parse_address_range(text);
  if (range) return std::nullopt;
  return std::move(range.error());
}

}  // namespace

std::string expected_number(Range range) {
  return "a whole number between " + std::to_string(range.min) + " and " + std::to_string(range.max);
}

std::string expected_number(SignedRange range) {
  return "a whole number between " + std::to_string(range.min) + " and " + std::to_string(range.max);
}

std::string_view expected_text(TextKind kind) {
  switch (kind) {
    case TextKind::name:
      static_assert(kNameBytesMax == 63);
      return "a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\"";
    case TextKind::host: return "a host name or address";
    case TextKind::address: return "an IPv4 or IPv6 address";
    case TextKind::user: return "a user's name or numeric uid";
    case TextKind::unix_group: return "a Unix group's name or numeric gid";
    case TextKind::path:
    case TextKind::socket_path: return "an absolute path";
    case TextKind::pin: return "\"sha256/\" and the SHA-256 of the host's public key in base64 (44 characters)";
    case TextKind::alpn: return "a protocol's name, such as \"http/1.1\"";
    case TextKind::tls_name: return "a name of 1 to 63 letters, digits, \"_\" and \"-\"";
    case TextKind::iso8583_spec: return "the name of a specification, or an absolute path";
    case TextKind::mti: return "an MTI, four digits";
    case TextKind::mti_start: return "the start of an MTI, one to four digits";
    case TextKind::processing_code_start: return "the start of a processing code, one to six digits";
    case TextKind::digit_map: return "ten digits: what 0, 1 and so on to 9 count as";
    case TextKind::digit_set: return "one to ten different digits";
    case TextKind::port_label:
      static_assert(kPortLabelBytesMax == 63);
      return "a label of 1 to 63 letters, digits, \"_\", \".\", \"+\" and \"-\"";
    case TextKind::program:
      static_assert(kProgramBytesMax == 15);
      return "a program's name as in /proc/PID/comm: at most 15 printable ASCII characters, no slash or quotation mark";
    case TextKind::address_range:
      return "an IPv4 or IPv6 address, or one with the length of its prefix, such as \"192.0.2.0/24\"";
    case TextKind::name_pattern:
      return "a server name such as \"host.example\", or \"*.bank.example\" for all below it";
  }
  return "a text";
}

Problem number_problem(std::uint64_t value, Range range) {
  if (value >= range.min && value <= range.max) return std::nullopt;
  return "must be between " + std::to_string(range.min) + " and " + std::to_string(range.max) + ", is " +
         std::to_string(value);
}

Problem number_problem(std::int64_t value, SignedRange range) {
  if (value >= range.min && value <= range.max) return std::nullopt;
  return "must be between " + std::to_string(range.min) + " and " + std::to_string(range.max) + ", is " +
         std::to_string(value);
}

Problem count_problem(std::uint64_t count, Range range, std::string_view of_what) {
  if (count >= range.min && count <= range.max) return std::nullopt;
  return "must hold " + std::to_string(range.min) + " to " + std::to_string(range.max) + " " + std::string(of_what) +
         ", holds " + std::to_string(count);
}

Problem text_problem(TextKind kind, Presence presence, std::string_view text) {
  if (text.empty()) {
    if (presence == Presence::may_be_empty) return std::nullopt;
    return "must be " + std::string(expected_text(kind)) + ", is empty";
  }
  if (has_control(text)) return "must not hold control characters, is " + in_quotes(text);
  switch (kind) {
    case TextKind::host: return host_problem(text);
    case TextKind::user:
    case TextKind::unix_group: return too_long(text, kAccountBytesMax);
    case TextKind::alpn: return too_long(text, kAlpnBytesMax);
    case TextKind::path:
    case TextKind::socket_path: return path_problem(kind, text);
    case TextKind::iso8583_spec:
      return text.contains('/') ? path_problem(kind, text) : text_problem(TextKind::name, presence, text);
    case TextKind::address_range: return address_range_problem(text);
    case TextKind::name_pattern: return name_pattern_problem(text);
    default: return fits(kind, text) ? std::nullopt : must_be(kind, text);
  }
}

Problem field_value_problem(std::string_view text) {
  const auto is_printable_ascii = [](char character) { return character >= 0x20 && character < 0x7f; };
  if (!std::ranges::all_of(text, is_printable_ascii)) {
    return "must be printable ASCII, is " + in_quotes(text) +
           "; bytes of binary fields are written as hexadecimal digits";
  }
  return too_long(text, kFieldValueBytesMax);
}

}  // namespace tlsmux::config
