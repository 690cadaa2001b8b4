#pragma once

// Short ways to write messages and specifications by hand.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/iso8583/iso8583_spec.hpp"
#include "engine/message/iso8583/error.hpp"

namespace tlsmux::test {

using Bytes = std::vector<std::byte>;

// Hexadecimal digits, with blanks anywhere.
Bytes from_hex(std::string_view digits);
Bytes from_text(std::string_view text);
std::string to_hex(std::span<const std::byte> bytes);
std::string to_text(std::span<const std::byte> bytes);

template <class... Parts>
Bytes joined(const Parts&... parts) {
  Bytes all;
  (all.insert(all.end(), parts.begin(), parts.end()), ...);
  return all;
}

// One of the built-in specifications, parsed.
config::Iso8583Spec built_in(std::string_view name);

// Settings with this specification loaded.
config::Iso8583Settings settings_with(const config::Iso8583Spec& spec);
config::Iso8583Settings settings_with(std::string_view built_in_name);

// "truncated field 41 offset 57"
std::string as_text(const engine::message::iso8583::Iso8583Error& error);

}  // namespace tlsmux::test
