#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "tests/host/iso8583_fields.hpp"

// ISO 8583:1987 messages in ASCII: four digits of message type, one or two bitmaps of 16 hexadecimal digits,
// fields.
namespace tlsmux::host {

// The fields of one message. It owns nothing: every view points into bytes that must outlive it, those given
// to parse() or those given to set().
class Message {
 public:
  std::string_view type;  // four digits, such as "0100"

  [[nodiscard]] bool has(unsigned number) const {
    return (bitmaps_[(number - 1) / 64] << ((number - 1) % 64) >> 63) != 0;
  }
  // Empty when absent. A present variable-length field may be empty too.
  [[nodiscard]] std::string_view field(unsigned number) const {
    return has(number) ? fields_[number] : std::string_view{};
  }
  // `number` is 2 to 128; field 1 appears by itself with the first field above 64.
  void set(unsigned number, std::string_view value) {
    if (number > 64) bitmaps_[0] |= kTopBit;
    bitmaps_[(number - 1) / 64] |= kTopBit >> ((number - 1) % 64);
    fields_[number] = value;
  }
  // Primary and secondary; the top bit of the first stands for field 1, that of the second for field 65.
  [[nodiscard]] const std::array<std::uint64_t, 2>& bitmaps() const { return bitmaps_; }

 private:
  static constexpr std::uint64_t kTopBit = std::uint64_t{1} << 63;

  std::array<std::string_view, kFieldMax + 1> fields_;
  std::array<std::uint64_t, 2> bitmaps_ = {};
};

// Says where and why, never what the bytes were. `field` 0 is the message type, 1 the bitmaps.
struct FieldError {
  unsigned field = 0;
  std::size_t offset = 0;  // of the first byte of the wrong element; when building: of the element to be written
  const char* reason = "";
};

[[nodiscard]] std::string to_string(const FieldError& error);

// Reads one whole message. Errors: anything not of the layout, characters outside a field's kind, impossible
// dates, bytes left over.
[[nodiscard]] std::expected<Message, FieldError> parse(std::string_view bytes);

// Appends the message to `out`. Fields are checked as parse() does, and fixed ones must have their exact
// length; on error `out` is as it was.
[[nodiscard]] std::expected<void, FieldError> build(const Message& message, std::string& out);

}  // namespace tlsmux::host
