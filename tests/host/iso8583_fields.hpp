#pragma once

#include <cstdint>

namespace tlsmux::host {

// What a field's characters may be. The names of the standard: n, an, ans, z, x+n, b; dates are n with a
// range.
enum class FieldKind : std::uint8_t {
  numeric,
  alphanumeric,   // letters, digits and the space that pads them
  text,           // any printable ASCII character
  track,          // digits and the separators of ISO/IEC 7813
  signed_amount,  // C or D, then digits
  hexadecimal,    // binary data as hexadecimal digits
  month_day,      // MMDD
  year_month,     // YYMM
  time,           // hhmmss
  month_day_time  // MMDDhhmmss
};

struct FieldSpec {
  FieldKind kind = FieldKind::text;
  std::uint8_t length_digits = 0;  // 0: fixed length; 2: LLVAR; 3: LLLVAR
  std::uint16_t length = 0;        // characters: exact when fixed, else the most
};

inline constexpr unsigned kFieldMax = 128;

// The layout of field `number`, 2 to 128, in ISO 8583:1987 with every element in ASCII.
const FieldSpec& field_spec(unsigned number);

}  // namespace tlsmux::host
