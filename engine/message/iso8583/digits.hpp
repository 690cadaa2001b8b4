#pragma once

// Digits in the encodings of ISO 8583.

#include <array>
#include <cstddef>
#include <cstdint>

namespace tlsmux::engine::message::iso8583 {

inline constexpr std::uint8_t kNoDigit = 0xff;

constexpr std::uint8_t digit_of(std::uint8_t character) {
  return character >= '0' && character <= '9' ? static_cast<std::uint8_t>(character - '0') : kNoDigit;
}

constexpr std::uint8_t digit_of_ebcdic(std::uint8_t byte) {
  return byte >= 0xf0 && byte <= 0xf9 ? static_cast<std::uint8_t>(byte - 0xf0) : kNoDigit;
}

constexpr std::array<std::uint8_t, 256> make_hex_values() {
  std::array<std::uint8_t, 256> values{};
  for (auto& value : values) value = kNoDigit;
  for (std::uint8_t i = 0; i < 10; ++i) values['0' + i] = i;
  for (std::uint8_t i = 0; i < 6; ++i) {
    values['A' + i] = static_cast<std::uint8_t>(10 + i);
    values['a' + i] = static_cast<std::uint8_t>(10 + i);
  }
  return values;
}

inline constexpr std::array<std::uint8_t, 256> kHexValues = make_hex_values();

constexpr std::uint8_t nibble_at(const std::byte* bytes, std::size_t index) {
  const auto byte = std::to_integer<std::uint8_t>(bytes[index / 2]);
  return index % 2 == 0 ? byte >> 4 : byte & 0x0f;
}

}  // namespace tlsmux::engine::message::iso8583
