#pragma once

// A message that the engine makes by itself, compiled from its settings: all of its bytes, and where the digits of its
// placeholders go. Placeholders have fixed widths, so the length never changes.

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::config {

enum class Placeholder : std::uint8_t {
  trace_number,
  counter,
  date_time,   // MMDDhhmmss, UTC
  local_date,  // MMDD
  local_time,  // hhmmss
  local_year,  // YY, for the dates of ISO 8583:1993
};

// Digits to be written. A value that is nothing but {trace_number} or {counter} fills its fixed field; elsewhere these
// two have six digits.
struct PlaceholderDigits {
  Placeholder placeholder = Placeholder::trace_number;
  FieldEncoding encoding = FieldEncoding::ascii;
  std::uint16_t field = 0;
  std::uint32_t offset = 0;  // in the message, of the first digit: in bytes; for bcd in nibbles
  std::uint32_t digits = 0;
};

struct MessagePlan {
  std::vector<std::uint8_t> bytes;
  std::vector<PlaceholderDigits> placeholders;
};

struct MessagePlanError {
  std::uint32_t field = 0;  // 0: the MTI
  std::string problem;      // can follow "field 41: "
};

// Requires `settings.fields`.
std::expected<MessagePlan, MessagePlanError> plan_message(const Iso8583Settings& settings,
                                                          const MessageSettings& message);

// The MTI as transmitted; the error as of plan_message.
std::expected<std::vector<std::uint8_t>, MessagePlanError> plan_mti(const Iso8583Spec& spec, std::string_view mti);

// One field's bytes, its padded content taken from a value without placeholders.
std::expected<std::vector<std::uint8_t>, MessagePlanError> plan_field(const Iso8583Spec& spec, std::uint32_t number,
                                                                      std::string_view value);

// The MTI of the response to a request: the third digit one higher, no repeat in the fourth. None where the third digit is
// odd or 8, and for what is no MTI.
std::optional<std::string> response_mti(std::string_view mti);

// What an automatic reply holds in field 39 unless its settings say otherwise.
inline constexpr std::uint32_t kResponseCodeField = 39;
inline constexpr std::string_view kApproved = "00";

// The bitmaps as transmitted.
struct EncodedBitmaps {
  std::array<std::uint8_t, 6 * kIso8583BitmapBytes> bytes{};  // of three in hexadecimal digits
  std::size_t length = 0;
};

// For the set bits of `fields` (bit N % 64 of word N / 64, most significant first, stands for field N + 1), with the bits
// that say a further bitmap follows. Allocates nothing.
EncodedBitmaps encode_bitmaps(BitmapEncoding encoding, std::array<std::uint64_t, 3> fields);

}  // namespace tlsmux::config
