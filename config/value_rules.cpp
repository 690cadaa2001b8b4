#include "config/value_rules.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "config/limits.hpp"
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

Problem path_problem(TextKind kind, std::string_view path) {
  if (!path.starts_with('/')) return must_be(kind, path);
  return too_long(path, kind == TextKind::socket_path ? kSocketPathBytesMax : kPathBytesMax);
}

}  // namespace

std::string expected_number(Range range) {
  return "a whole number between " + std::to_string(range.min) + " and " + std::to_string(range.max);
}

std::string_view expected_text(TextKind kind) {
  switch (kind) {
    case TextKind::name:
      static_assert(kNameBytesMax == 63);
      return "a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\"";
    case TextKind::host: return "a host name or address";
    case TextKind::user: return "a user's name or numeric uid";
    case TextKind::unix_group: return "a Unix group's name or numeric gid";
    case TextKind::path:
    case TextKind::socket_path: return "an absolute path";
  }
  return "a text";
}

Problem number_problem(std::uint64_t value, Range range) {
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
  const bool has_control = std::ranges::any_of(
      text, [](char character) { return static_cast<unsigned char>(character) < 0x20 || character == 0x7f; });
  if (has_control) return "must not hold control characters, is " + in_quotes(text);
  switch (kind) {
    case TextKind::name:
      if (text.size() <= kNameBytesMax && consists_of(text, "_.-")) return std::nullopt;
      return must_be(kind, text);
    case TextKind::host: return host_problem(text);
    case TextKind::user:
    case TextKind::unix_group: return too_long(text, kAccountBytesMax);
    case TextKind::path:
    case TextKind::socket_path: return path_problem(kind, text);
  }
  return std::nullopt;
}

}  // namespace tlsmux::config
