#include "engine/message/iso8583/value.hpp"

#include <algorithm>
#include <array>

#include "config/ebcdic.hpp"
#include "engine/message/iso8583/digits.hpp"

namespace tlsmux::engine::message::iso8583 {
namespace {

using config::FieldEncoding;

// Units of one content by their index, decoded one at a time.
class Units {
 public:
  Units(FieldEncoding encoding, std::span<const std::byte> content, std::uint32_t length)
      : encoding_(encoding),
        content_(content),
        // The filling nibble of an odd number of right-aligned digits.
        first_nibble_(encoding == FieldEncoding::bcd ? length % 2 : 0) {}

  [[nodiscard]] std::uint8_t at(std::uint32_t index) const {
    constexpr std::array<std::uint8_t, 16> kDigits = {'0', '1', '2', '3', '4', '5', '6', '7',
                                                      '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
    switch (encoding_) {
      case FieldEncoding::bcd:
      case FieldEncoding::bcd_left: return kDigits[nibble_at(content_.data(), first_nibble_ + index)];
      case FieldEncoding::ebcdic: return config::kCharacterOfEbcdic[byte(index)];
      case FieldEncoding::hex:
        return static_cast<std::uint8_t>(kHexValues[byte(2 * index)] << 4 | kHexValues[byte(2 * index + 1)]);
      default: return byte(index);
    }
  }

  [[nodiscard]] bool are_valid() const {
    if (encoding_ != FieldEncoding::hex) return true;
    return std::ranges::all_of(
        content_, [](std::byte one) { return kHexValues[std::to_integer<std::uint8_t>(one)] != kNoDigit; });
  }

 private:
  [[nodiscard]] std::uint8_t byte(std::uint32_t index) const { return std::to_integer<std::uint8_t>(content_[index]); }

  FieldEncoding encoding_;
  std::span<const std::byte> content_;
  std::uint32_t first_nibble_;
};

// The part of a content that counts.
struct Extent {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

Extent without_padding(const Units& units, const Trim& trim, std::uint32_t length) {
  Extent extent{.begin = 0, .end = length};
  if (trim.left) {
    while (extent.begin < extent.end && units.at(extent.begin) == *trim.left) ++extent.begin;
  }
  if (trim.right) {
    while (extent.begin < extent.end && units.at(extent.end - 1) == *trim.right) --extent.end;
  }
  return extent;
}

}  // namespace

Trim padding_of(const config::Iso8583Field& field) {
  switch (field.padding) {
    case config::PaddingSide::none: return {};
    case config::PaddingSide::left: return {.left = field.pad, .right = std::nullopt};
    case config::PaddingSide::right: return {.left = std::nullopt, .right = field.pad};
  }
  return {};
}

Value read_value(const config::Iso8583Field& field, const Trim& trim, std::span<const std::byte> content,
                 std::uint32_t length, std::span<std::byte> out) {
  const Units units(field.encoding, content, length);
  if (!units.are_valid()) return {.fault = ValueFault::bad_value};
  const auto [begin, end] = without_padding(units, trim, length);
  if (end - begin > out.size()) return {.fault = ValueFault::no_room};
  for (std::uint32_t i = begin; i < end; ++i) out[i - begin] = std::byte{units.at(i)};
  return {.fault = ValueFault::none, .length = end - begin};
}

bool value_equals(const config::Iso8583Field& field, const Trim& trim, std::span<const std::byte> content,
                  std::uint32_t length, std::span<const std::byte> value) {
  const Units units(field.encoding, content, length);
  if (!units.are_valid()) return false;
  const auto [begin, end] = without_padding(units, trim, length);
  if (end - begin != value.size()) return false;
  for (std::uint32_t i = begin; i < end; ++i) {
    if (std::byte{units.at(i)} != value[i - begin]) return false;
  }
  return true;
}

}  // namespace tlsmux::engine::message::iso8583
