#pragma once

// What can be wrong with an ISO 8583 message, and where. Never holds a byte of the message.

#include <cstdint>
#include <string>
#include <string_view>

namespace tlsmux::engine::message::iso8583 {

enum class Iso8583ErrorKind : std::uint8_t {
  truncated,         // the message ends within the field
  beyond_prefix,     // the field ends beyond the bytes that were copied to be read
  bad_header,        // a BASE I header of an impossible length, or too short for the key
  bad_mti,           // not four digits
  bad_bitmap,        // not hexadecimal digits
  too_many_bitmaps,  // a fourth one
  unknown_field,     // the bitmap names a field that the specification does not have
  bad_length,        // a length prefix that is no number
  too_long,          // a length prefix beyond the specification's maximum
  bad_value,         // not hexadecimal digits where the specification says so
  absent,            // a field that must be there is not
  key_too_long,
  trailing_bytes,  // bytes behind the last field
  no_room,         // the message to be built is longer than the memory for it
};

// `field` 0 is the MTI or what stands before it, 1 the bitmaps. `offset` counts from the message's first byte, header
// included, to the part that could not be read: a length prefix, a content, a bitmap.
struct Iso8583Error {
  Iso8583ErrorKind kind = Iso8583ErrorKind::truncated;
  std::uint16_t field = 0;
  std::uint32_t offset = 0;
  friend bool operator==(const Iso8583Error&, const Iso8583Error&) = default;
};

// A sentence without its place, for logs that give field and offset apart.
std::string_view words(Iso8583ErrorKind kind);

// "field 41 at offset 57: the message ends within it"
std::string text(const Iso8583Error& error);

}  // namespace tlsmux::engine::message::iso8583
