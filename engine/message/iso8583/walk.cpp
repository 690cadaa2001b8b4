#include "engine/message/iso8583/walk.hpp"

#include "config/ebcdic.hpp"
#include "engine/message/iso8583/digits.hpp"

namespace tlsmux::engine::message::iso8583 {
namespace {

using config::FieldEncoding;
using config::LengthPrefix;
using Kind = Iso8583ErrorKind;

std::unexpected<Iso8583Error> fail(Kind kind, std::uint32_t field, std::uint32_t offset) {
  return std::unexpected(Iso8583Error{.kind = kind, .field = static_cast<std::uint16_t>(field), .offset = offset});
}

// Whether `count` bytes can be read at `offset`, and what is wrong if not. `offset` is never beyond the bytes there are.
bool there(const MessageBytes& message, std::uint32_t offset, std::size_t count) {
  return count <= message.bytes.size() - offset;
}

Kind missing(const MessageBytes& message, std::uint32_t offset, std::size_t count) {
  return count > message.message_bytes - offset ? Kind::truncated : Kind::beyond_prefix;
}

std::uint8_t byte_at(const MessageBytes& message, std::size_t offset) {
  return std::to_integer<std::uint8_t>(message.bytes[offset]);
}

constexpr std::uint32_t kNoLength = ~std::uint32_t{0};

template <class Digit>
std::uint32_t decimal(std::uint32_t digits, Digit digit) {
  std::uint32_t value = 0;
  for (std::uint32_t i = 0; i < digits; ++i) {
    const std::uint8_t one = digit(i);
    if (one > 9) return kNoLength;
    value = value * 10 + one;
  }
  return value;
}

// The number in a length prefix of at most four digits or bytes, or kNoLength.
std::uint32_t read_length(const config::Iso8583Field& field, const std::byte* prefix) {
  const auto at = [&](std::uint32_t i) { return std::to_integer<std::uint8_t>(prefix[i]); };
  switch (field.prefix) {
    case LengthPrefix::fixed: return field.length;
    case LengthPrefix::ascii: return decimal(field.prefix_digits, [&](std::uint32_t i) { return digit_of(at(i)); });
    case LengthPrefix::ebcdic:
      return decimal(field.prefix_digits, [&](std::uint32_t i) { return digit_of_ebcdic(at(i)); });
    case LengthPrefix::bcd: {
      // The digits stand at the right: a nibble is left over in front of an odd number of them, and must be zero.
      return decimal(2 * config::prefix_bytes(field), [&](std::uint32_t i) { return nibble_at(prefix, i); });
    }
    case LengthPrefix::binary: {
      std::uint64_t value = 0;
      for (std::uint32_t i = 0; i < field.prefix_digits; ++i) value = value << 8 | at(i);
      return static_cast<std::uint32_t>(value < kNoLength ? value : kNoLength - 1);
    }
    case LengthPrefix::hex: {
      std::uint64_t value = 0;
      for (std::uint32_t i = 0; i < 2U * field.prefix_digits; ++i) {
        if (kHexValues[at(i)] == kNoDigit) return kNoLength;
        value = value << 4 | kHexValues[at(i)];
      }
      return static_cast<std::uint32_t>(value < kNoLength ? value : kNoLength - 1);
    }
  }
  return kNoLength;
}

// The 64 bits of one bitmap of hexadecimal digits; false if they are none.
bool read_hex_bits(const std::byte* digits, bool ebcdic, std::uint64_t& bits) {
  bits = 0;
  bool valid = true;
  for (std::uint32_t i = 0; i < 2 * config::kIso8583BitmapBytes; ++i) {
    const auto byte = std::to_integer<std::uint8_t>(digits[i]);
    const auto value = kHexValues[ebcdic ? config::kCharacterOfEbcdic[byte] : byte];
    valid &= value != kNoDigit;
    bits = bits << 4 | (value & 0x0fU);
  }
  return valid;
}

}  // namespace

std::expected<std::uint32_t, Iso8583Error> header_bytes_of(const config::Iso8583Settings& settings,
                                                           const MessageBytes& message) {
  if (settings.header_format == config::HeaderFormat::fixed) {
    if (!there(message, 0, settings.header_bytes)) return fail(missing(message, 0, settings.header_bytes), 0, 0);
    return settings.header_bytes;
  }
  // VISA BASE I: each header begins with its own length, and the first two bytes of each are always there.
  constexpr std::uint8_t kAnotherFollows = 0x80;
  if (!there(message, 0, 2)) return fail(missing(message, 0, 2), 0, 0);
  const std::uint32_t first = byte_at(message, 0);
  if (first < 2) return fail(Kind::bad_header, 0, 0);
  if (!there(message, 0, first)) return fail(missing(message, 0, first), 0, 0);
  if ((byte_at(message, 1) & kAnotherFollows) == 0) return first;
  if (!there(message, first, 1)) return fail(missing(message, first, 1), 0, first);
  const std::uint32_t second = byte_at(message, first);
  if (second < 2) return fail(Kind::bad_header, 0, first);
  if (!there(message, first, second)) return fail(missing(message, first, second), 0, first);
  return first + second;
}

std::expected<Mti, Iso8583Error> read_mti(const config::Iso8583Field& field, const MessageBytes& message,
                                          std::uint32_t offset) {
  const std::uint32_t count = config::content_bytes(field.encoding, config::kIso8583MtiDigits);
  if (!there(message, offset, count)) return fail(missing(message, offset, count), 0, offset);
  const std::byte* bytes = message.bytes.data() + offset;
  Mti mti{};
  for (std::size_t i = 0; i < mti.size(); ++i) {
    std::uint8_t digit = kNoDigit;
    switch (field.encoding) {
      case FieldEncoding::bcd:
      case FieldEncoding::bcd_left: digit = nibble_at(bytes, i); break;
      case FieldEncoding::ebcdic: digit = digit_of_ebcdic(std::to_integer<std::uint8_t>(bytes[i])); break;
      default: digit = digit_of(std::to_integer<std::uint8_t>(bytes[i]));
    }
    if (digit > 9) return fail(Kind::bad_mti, 0, offset);
    mti[i] = static_cast<char>('0' + digit);
  }
  return mti;
}

std::expected<void, Iso8583Error> Walk::start(std::uint32_t header_bytes) {
  const auto mti = read_mti(spec_.mti, message_, header_bytes);
  if (!mti) return std::unexpected(mti.error());
  mti_ = *mti;
  offset_ = header_bytes + config::content_bytes(spec_.mti.encoding, config::kIso8583MtiDigits);
  return read_bitmaps();
}

std::expected<void, Iso8583Error> Walk::read_bitmaps() {
  constexpr std::uint64_t kAnotherFollows = std::uint64_t{1} << 63;
  const std::uint32_t count = config::bitmap_bytes(spec_.bitmap);
  for (auto& bits : bitmaps_) {
    if (!there(message_, offset_, count)) return fail(missing(message_, offset_, count), 1, offset_);
    const std::byte* bytes = message_.bytes.data() + offset_;
    if (spec_.bitmap == config::BitmapEncoding::binary) {
      for (std::uint32_t i = 0; i < count; ++i) bits = bits << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    } else if (!read_hex_bits(bytes, spec_.bitmap == config::BitmapEncoding::ebcdic_hex, bits)) {
      return fail(Kind::bad_bitmap, 1, offset_);
    }
    const auto start = offset_;
    offset_ += count;
    if ((bits & kAnotherFollows) == 0) break;
    if (&bits == &bitmaps_.back()) return fail(Kind::too_many_bitmaps, 1, start);
  }
  left_ = bitmaps_;
  for (auto& bits : left_) bits &= ~kAnotherFollows;
  return {};
}

std::expected<void, Iso8583Error> Walk::walk_to(std::uint32_t field) {
  for (std::uint32_t word = 0; word <= (field - 1) / 64; ++word) {
    while (left_[word] != 0) {
      const auto bit = static_cast<std::uint32_t>(std::countl_zero(left_[word]));
      const std::uint32_t number = 64 * word + bit + 1;
      if (number > field) return {};
      if (const auto read = read_field(number); !read) return read;
      left_[word] &= ~(std::uint64_t{1} << (63 - bit));
    }
  }
  return {};
}

std::expected<void, Iso8583Error> Walk::walk_all() {
  if (const auto walked = walk_to(config::kIso8583FieldsMax); !walked) return walked;
  if (offset_ == message_.message_bytes) return {};
  std::uint32_t last = 1;
  for (std::uint32_t word = 0; word < bitmaps_.size(); ++word) {
    if (bitmaps_[word] != 0) last = 64 * word + 64 - static_cast<std::uint32_t>(std::countr_zero(bitmaps_[word]));
  }
  return fail(Kind::trailing_bytes, last, offset_);
}

std::expected<void, Iso8583Error> Walk::read_field(std::uint32_t number) {
  const auto& field = spec_.fields[number];
  if (field.encoding == FieldEncoding::none) return fail(Kind::unknown_field, number, offset_);
  const std::uint32_t prefix = config::prefix_bytes(field);
  if (!there(message_, offset_, prefix)) return fail(missing(message_, offset_, prefix), number, offset_);
  const std::uint32_t length = read_length(field, message_.bytes.data() + offset_);
  if (length == kNoLength) return fail(Kind::bad_length, number, offset_);
  if (length > field.length) return fail(Kind::too_long, number, offset_);
  const std::uint32_t count = config::content_bytes(field.encoding, length);
  const std::uint32_t content = offset_ + prefix;
  if (!there(message_, content, count)) return fail(missing(message_, content, count), number, content);
  places_[number] = {.start = offset_, .offset = content, .bytes = count, .length = length};
  offset_ = content + count;
  return {};
}

}  // namespace tlsmux::engine::message::iso8583
