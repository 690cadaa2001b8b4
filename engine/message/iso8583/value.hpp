#pragma once

// Field contents in one form, whatever the encoding: characters of ASCII, EBCDIC and BCD fields, bytes of binary and hex
// ones, without padding. Values that mean the same compare as equal.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "config/config.hpp"
#include "config/iso8583/iso8583_spec.hpp"
#include "engine/message/iso8583/walk.hpp"

namespace tlsmux::engine::message::iso8583 {

// What does not count at the ends of a value.
struct Trim {
  std::optional<std::uint8_t> left;
  std::optional<std::uint8_t> right;
};

// The specification's own padding.
Trim padding_of(const config::Iso8583Field& field);

enum class ValueFault : std::uint8_t { none, bad_value, no_room };

struct Value {
  ValueFault fault = ValueFault::none;
  std::size_t length = 0;  // written to `out`
};

// A nibble of BCD beyond 9 becomes 'A' to 'F' (track data have 'D').
Value read_value(const config::Iso8583Field& field, const Trim& trim, std::span<const std::byte> content,
                 std::uint32_t length, std::span<std::byte> out);

// Whether the field holds this value, given in the same form and trimmed alike.
bool value_equals(const config::Iso8583Field& field, const Trim& trim, std::span<const std::byte> content,
                  std::uint32_t length, std::span<const std::byte> value);

}  // namespace tlsmux::engine::message::iso8583
