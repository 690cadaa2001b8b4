#pragma once

// A field specification of ISO 8583 as plain values. The JSON format is that of moov-io's iso8583
// (iso8583_spec_json reads it); engine/message/iso8583 walks messages by it.

#include <array>
#include <cstdint>
#include <string>

namespace tlsmux::config {

inline constexpr std::uint32_t kIso8583FieldsMax = 192;  // three bitmaps of 64 bits

enum class FieldEncoding : std::uint8_t {
  none,  // the specification does not know the field
  ascii,
  ebcdic,
  bcd,       // two digits in a byte, a leading zero nibble where the count is odd
  bcd_left,  // the same, with the filling nibble at the end
  binary,    // bytes as they are
  hex,       // each byte as two ASCII digits
};

enum class LengthPrefix : std::uint8_t { fixed, ascii, ebcdic, bcd, binary, hex };

enum class PaddingSide : std::uint8_t { none, left, right };

// One field. `length` is the fixed length or the largest variable one, in the unit that the length prefix counts:
// digits for bcd, bytes of content for binary and hex, characters otherwise.
struct Iso8583Field {
  FieldEncoding encoding = FieldEncoding::none;
  LengthPrefix prefix = LengthPrefix::fixed;
  std::uint8_t prefix_digits = 0;  // 2 for LL; for `binary`, bytes
  PaddingSide padding = PaddingSide::none;
  std::uint8_t pad = 0;  // as a character, before encoding
  std::uint32_t length = 0;
};

enum class BitmapEncoding : std::uint8_t { binary, hex, ebcdic_hex };

struct Iso8583Spec {
  std::string name;
  Iso8583Field mti;
  BitmapEncoding bitmap = BitmapEncoding::binary;
  std::array<Iso8583Field, kIso8583FieldsMax + 1> fields{};  // by number; 0, 1, 65 and 129 are not used
};

}  // namespace tlsmux::config
