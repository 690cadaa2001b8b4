#include "tests/host/iso8583_ascii.hpp"

#include <algorithm>
#include <bit>
#include <optional>

namespace tlsmux::host {
namespace {

constexpr std::size_t kTypeLength = 4;
constexpr std::size_t kBitmapLength = 16;

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
constexpr bool is_printable(char c) { return c >= 0x20 && c <= 0x7e; }
// The characters of tracks 2 and 3, ISO/IEC 7813; D stands for = in many implementations.
constexpr bool is_track(char c) { return (c >= 0x30 && c <= 0x3f) || c == 'D'; }

constexpr std::optional<unsigned> hex_digit(char c) {
  if (is_digit(c)) return static_cast<unsigned>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

constexpr unsigned two_digits(std::string_view value, std::size_t offset) {
  return static_cast<unsigned>((value[offset] - '0') * 10 + (value[offset + 1] - '0'));
}

bool all_digits(std::string_view value) { return std::ranges::all_of(value, is_digit); }

bool is_month_day(std::string_view value) {
  constexpr std::array<unsigned, 13> kDays = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const unsigned month = two_digits(value, 0);
  const unsigned day = two_digits(value, 2);
  return month >= 1 && month <= 12 && day >= 1 && day <= kDays[month];
}

bool is_time(std::string_view value) {
  return two_digits(value, 0) < 24 && two_digits(value, 2) < 60 && two_digits(value, 4) < 60;
}

// Null when the value is of the kind. Dates have their fixed length already.
const char* what_is_wrong(FieldKind kind, std::string_view value) {
  const auto unless = [](bool good, const char* reason) { return good ? nullptr : reason; };
  switch (kind) {
    case FieldKind::numeric: return unless(all_digits(value), "not digits");
    case FieldKind::alphanumeric:
      return unless(std::ranges::all_of(value, [](char c) { return is_digit(c) || is_letter(c) || c == ' '; }),
                    "not letters, digits and spaces");
    case FieldKind::text: return unless(std::ranges::all_of(value, is_printable), "not printable ASCII");
    case FieldKind::track: return unless(std::ranges::all_of(value, is_track), "not track characters");
    case FieldKind::signed_amount:
      return unless((value[0] == 'C' || value[0] == 'D') && all_digits(value.substr(1)), "not C or D and digits");
    case FieldKind::hexadecimal:
      return unless(std::ranges::all_of(value, [](char c) { return hex_digit(c).has_value(); }),
                    "not hexadecimal digits");
    case FieldKind::month_day: return unless(all_digits(value) && is_month_day(value), "not a date MMDD");
    case FieldKind::year_month:
      return unless(all_digits(value) && two_digits(value, 2) >= 1 && two_digits(value, 2) <= 12, "not a date YYMM");
    case FieldKind::time: return unless(all_digits(value) && is_time(value), "not a time hhmmss");
    case FieldKind::month_day_time:
      return unless(all_digits(value) && is_month_day(value) && is_time(value.substr(4)),
                    "not a date and time MMDDhhmmss");
  }
  return "unknown kind";
}

// Bit 63 of the result is the field with the lowest number.
std::optional<std::uint64_t> read_bitmap(std::string_view digits) {
  std::uint64_t bits = 0;
  for (const char c : digits) {
    const auto digit = hex_digit(c);
    if (!digit) return std::nullopt;
    bits = bits << 4 | *digit;
  }
  return bits;
}

void write_bitmap(std::uint64_t bits, std::string& out) {
  for (int shift = 60; shift >= 0; shift -= 4) out.push_back("0123456789ABCDEF"[bits >> shift & 0xf]);
}

class Parser {
 public:
  explicit Parser(std::string_view bytes) : bytes_(bytes) {}

  std::expected<Message, FieldError> run() {
    Message message;
    if (bytes_.size() < kTypeLength || !all_digits(bytes_.substr(0, kTypeLength))) {
      return fail(0, "the message type is not four digits");
    }
    if (bytes_[0] != '0') return fail(0, "not version 1987");
    message.type = take(kTypeLength);

    auto primary = next_bitmap();
    if (!primary) return std::unexpected(primary.error());
    std::uint64_t secondary = 0;
    if ((*primary >> 63) != 0) {
      auto more = next_bitmap();
      if (!more) return std::unexpected(more.error());
      secondary = *more;
    }
    if (const auto error = read_fields(*primary & ~(std::uint64_t{1} << 63), 1, message))
      return std::unexpected(*error);
    if (const auto error = read_fields(secondary, 65, message)) return std::unexpected(*error);
    if (offset_ != bytes_.size()) return fail(kFieldMax, "bytes after the last field");
    return message;
  }

 private:
  std::unexpected<FieldError> fail(unsigned field, const char* reason) const {
    return std::unexpected(FieldError{field, offset_, reason});
  }

  std::string_view take(std::size_t length) {
    const auto taken = bytes_.substr(offset_, length);
    offset_ += length;
    return taken;
  }

  std::expected<std::uint64_t, FieldError> next_bitmap() {
    if (bytes_.size() - offset_ < kBitmapLength) return fail(1, "the message ends within the bitmap");
    const auto bits = read_bitmap(bytes_.substr(offset_, kBitmapLength));
    if (!bits) return fail(1, "the bitmap is not hexadecimal digits");
    offset_ += kBitmapLength;
    return *bits;
  }

  std::optional<FieldError> read_fields(std::uint64_t bits, unsigned first, Message& message) {
    while (bits != 0) {
      const auto position = static_cast<unsigned>(std::countl_zero(bits));
      bits &= ~(std::uint64_t{1} << (63 - position));
      if (const auto error = read_field(first + position, message)) return error;
    }
    return std::nullopt;
  }

  std::optional<FieldError> read_field(unsigned number, Message& message) {
    const FieldSpec& spec = field_spec(number);
    const std::size_t start = offset_;
    const auto wrong = [&](const char* reason) { return FieldError{number, start, reason}; };
    std::size_t length = spec.length;
    if (spec.length_digits > 0) {
      if (bytes_.size() - offset_ < spec.length_digits) return wrong("the message ends within the field");
      length = 0;
      for (const char c : take(spec.length_digits)) {
        if (!is_digit(c)) return wrong("the length is not digits");
        length = length * 10 + static_cast<std::size_t>(c - '0');
      }
      if (length > spec.length) return wrong("longer than the field may be");
    }
    if (bytes_.size() - offset_ < length) return wrong("the message ends within the field");
    const auto value = take(length);
    if (const char* reason = what_is_wrong(spec.kind, value)) return wrong(reason);
    message.set(number, value);
    return std::nullopt;
  }

  std::string_view bytes_;
  std::size_t offset_ = 0;
};

std::optional<FieldError> append_field(unsigned number, std::string_view value, std::string& out) {
  const FieldSpec& spec = field_spec(number);
  const auto wrong = [&](const char* reason) { return FieldError{number, out.size(), reason}; };
  if (spec.length_digits == 0 && value.size() != spec.length) return wrong("not of the field's fixed length");
  if (value.size() > spec.length) return wrong("longer than the field may be");
  if (const char* reason = what_is_wrong(spec.kind, value)) return wrong(reason);
  if (spec.length_digits == 3) out.push_back(static_cast<char>('0' + value.size() / 100));
  if (spec.length_digits > 0) {
    out.push_back(static_cast<char>('0' + value.size() / 10 % 10));
    out.push_back(static_cast<char>('0' + value.size() % 10));
  }
  out.append(value);
  return std::nullopt;
}

}  // namespace

std::string to_string(const FieldError& error) {
  return "field " + std::to_string(error.field) + " at byte " + std::to_string(error.offset) + ": " + error.reason;
}

std::expected<Message, FieldError> parse(std::string_view bytes) { return Parser(bytes).run(); }

std::expected<void, FieldError> build(const Message& message, std::string& out) {
  if (message.type.size() != kTypeLength || !all_digits(message.type)) {
    return std::unexpected(FieldError{0, out.size(), "the message type is not four digits"});
  }
  const std::size_t before = out.size();
  out.append(message.type);
  const auto [primary, secondary] = message.bitmaps();
  write_bitmap(primary, out);
  if (message.has(1)) write_bitmap(secondary, out);
  for (unsigned number = 2; number <= kFieldMax; ++number) {
    if (!message.has(number)) continue;
    if (const auto error = append_field(number, message.field(number), out)) {
      out.resize(before);
      return std::unexpected(*error);
    }
  }
  return {};
}

}  // namespace tlsmux::host
