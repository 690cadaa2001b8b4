#include "engine/message/length_field.hpp"

#include "shm/assert.hpp"

namespace tlsmux::engine::message {
namespace {

using config::LengthEncoding;

constexpr std::uint64_t kNoDigit = 16;

// The digit that an ASCII character stands for, or kNoDigit.
std::uint64_t hex_digit(std::byte character) {
  const auto code = std::to_integer<std::uint64_t>(character);
  if (code >= '0' && code <= '9') return code - '0';
  if (code >= 'A' && code <= 'F') return code - 'A' + 10;
  if (code >= 'a' && code <= 'f') return code - 'a' + 10;
  return kNoDigit;
}

std::byte hex_character(std::uint64_t digit) {
  return static_cast<std::byte>(digit < 10 ? '0' + digit : 'A' + digit - 10);
}

// Takes the lowest byte or digits off `value`.
std::byte take_lowest(LengthEncoding encoding, std::uint64_t& value) {
  std::uint64_t base = 256;
  std::byte byte{};
  switch (encoding) {
    case LengthEncoding::binary_be:
    case LengthEncoding::binary_le: byte = static_cast<std::byte>(value % base); break;
    case LengthEncoding::ascii:
    case LengthEncoding::hex:
      base = encoding == LengthEncoding::ascii ? 10 : 16;
      byte = hex_character(value % base);
      break;
    case LengthEncoding::bcd:
      base = 100;
      byte = static_cast<std::byte>(value % 100 / 10 << 4 | value % 10);
      break;
  }
  value /= base;
  return byte;
}

std::expected<std::uint64_t, FramingError> read_digits(std::span<const std::byte> field, std::uint64_t base) {
  std::uint64_t value = 0;
  for (const std::byte character : field) {
    const auto digit = hex_digit(character);
    if (digit >= base) return std::unexpected(FramingError::not_a_number);
    value = value * base + digit;
  }
  return value;
}

std::expected<std::uint64_t, FramingError> read_bcd(std::span<const std::byte> field) {
  std::uint64_t value = 0;
  for (const std::byte pair : field) {
    const auto high = std::to_integer<std::uint64_t>(pair >> 4);
    const auto low = std::to_integer<std::uint64_t>(pair & std::byte{0x0f});
    if (high > 9 || low > 9) return std::unexpected(FramingError::not_a_number);
    value = value * 100 + high * 10 + low;
  }
  return value;
}

std::uint64_t read_binary_be(std::span<const std::byte> field) {
  std::uint64_t value = 0;
  for (const std::byte byte : field) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

std::uint64_t read_binary_le(std::span<const std::byte> field) {
  std::uint64_t value = 0;
  for (std::size_t i = field.size(); i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(field[i]);
  return value;
}

}  // namespace

void write_length(LengthEncoding encoding, std::span<std::byte> field, std::uint64_t value) {
  if (encoding == LengthEncoding::binary_le) {
    for (auto& byte : field) byte = take_lowest(encoding, value);
  } else {
    for (std::size_t i = field.size(); i-- > 0;) field[i] = take_lowest(encoding, value);
  }
  TMX_ASSERT(value == 0);
}

std::expected<std::uint64_t, FramingError> read_length(LengthEncoding encoding, std::span<const std::byte> field) {
  switch (encoding) {
    case LengthEncoding::binary_be: return read_binary_be(field);
    case LengthEncoding::binary_le: return read_binary_le(field);
    case LengthEncoding::ascii: return read_digits(field, 10);
    case LengthEncoding::hex: return read_digits(field, 16);
    case LengthEncoding::bcd: return read_bcd(field);
  }
  return std::unexpected(FramingError::not_a_number);
}

}  // namespace tlsmux::engine::message
