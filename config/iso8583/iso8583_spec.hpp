#pragma once

// A field specification of ISO 8583 as plain values. The JSON format is that of moov-io's iso8583
// (iso8583_spec_json reads it); engine/message/iso8583 walks messages by it.

#include <array>
#include <cstdint>
#include <string>

namespace tlsmux::config {

inline constexpr std::uint32_t kIso8583FieldsMax = 192;  // three bitmaps of 64 bits
inline constexpr std::uint32_t kIso8583BitmapBytes = 8;  // of one bitmap, before encoding
inline constexpr std::uint32_t kIso8583MtiDigits = 4;

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
  std::uint8_t prefix_digits = 0;  // 2 for LL; for `binary` and `hex`, bytes
  PaddingSide padding = PaddingSide::none;
  std::uint8_t pad = 0;  // as a character, before encoding
  std::uint32_t length = 0;

  bool operator==(const Iso8583Field&) const = default;
};

enum class BitmapEncoding : std::uint8_t { binary, hex, ebcdic_hex };

struct Iso8583Spec {
  std::string name;
  Iso8583Field mti;
  BitmapEncoding bitmap = BitmapEncoding::binary;
  std::array<Iso8583Field, kIso8583FieldsMax + 1> fields{};  // by number; 0, 1, 65 and 129 are not used

  bool operator==(const Iso8583Spec&) const = default;
};

// Whether `field` can be a data field: 1, 65 and 129 only say that a further bitmap follows.
constexpr bool is_data_field(std::uint32_t field) {
  return field >= 2 && field <= kIso8583FieldsMax && field != 65 && field != 129;
}

// Bytes of the length prefix as transmitted; 0 for a field of fixed length.
constexpr std::uint32_t prefix_bytes(const Iso8583Field& field) {
  switch (field.prefix) {
    case LengthPrefix::fixed: return 0;
    case LengthPrefix::ascii:
    case LengthPrefix::ebcdic:
    case LengthPrefix::binary: return field.prefix_digits;
    case LengthPrefix::bcd: return (field.prefix_digits + 1U) / 2;
    case LengthPrefix::hex: return 2U * field.prefix_digits;
  }
  return 0;
}

// Bytes as transmitted of a content of `length` units.
constexpr std::uint32_t content_bytes(FieldEncoding encoding, std::uint32_t length) {
  switch (encoding) {
    case FieldEncoding::bcd:
    case FieldEncoding::bcd_left: return (length + 1) / 2;
    case FieldEncoding::hex: return 2 * length;
    default: return length;
  }
}

// Bytes of one bitmap as transmitted.
constexpr std::uint32_t bitmap_bytes(BitmapEncoding encoding) {
  return encoding == BitmapEncoding::binary ? kIso8583BitmapBytes : 2 * kIso8583BitmapBytes;
}

}  // namespace tlsmux::config
