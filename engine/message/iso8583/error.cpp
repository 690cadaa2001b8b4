#include "engine/message/iso8583/error.hpp"

namespace tlsmux::engine::message::iso8583 {

std::string_view words(Iso8583ErrorKind kind) {
  switch (kind) {
    case Iso8583ErrorKind::truncated: return "the message ends within it";
    case Iso8583ErrorKind::beyond_prefix: return "it ends beyond the bytes in which a key may lie";
    case Iso8583ErrorKind::bad_header: return "the header in front of the message has no possible length";
    case Iso8583ErrorKind::bad_mti: return "the message type is not four digits";
    case Iso8583ErrorKind::bad_bitmap: return "the bitmap is not hexadecimal digits";
    case Iso8583ErrorKind::too_many_bitmaps: return "a fourth bitmap is announced; there are three at the most";
    case Iso8583ErrorKind::unknown_field: return "it is in the bitmap, but not in the field specification";
    case Iso8583ErrorKind::bad_length: return "its length is not a number";
    case Iso8583ErrorKind::too_long: return "it is longer than the field specification allows";
    case Iso8583ErrorKind::bad_value: return "its value is not as the field specification says";
    case Iso8583ErrorKind::absent: return "it is not in the message";
    case Iso8583ErrorKind::key_too_long: return "with it the correlation key becomes too long";
    case Iso8583ErrorKind::trailing_bytes: return "bytes follow behind the last field";
    case Iso8583ErrorKind::no_room: return "the message becomes too long with it";
  }
  return "unknown error";
}

std::string text(const Iso8583Error& error) {
  std::string place = "field " + std::to_string(error.field);
  if (error.field == 0) place = error.kind == Iso8583ErrorKind::bad_header ? "header" : "MTI";
  if (error.field == 1) place = "bitmap";
  return place + " at offset " + std::to_string(error.offset) + ": " + std::string(words(error.kind));
}

}  // namespace tlsmux::engine::message::iso8583
