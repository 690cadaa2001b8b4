#include "config/iso8583/iso8583_value.hpp"

#include "config/ebcdic.hpp"

namespace tlsmux::config {
namespace {

using Content = std::vector<std::uint8_t>;

bool is_digit(std::uint8_t character) { return character >= '0' && character <= '9'; }

int hex_value(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  if (character >= 'a' && character <= 'f') return character - 'a' + 10;
  if (character >= 'A' && character <= 'F') return character - 'A' + 10;
  return -1;
}

std::expected<Content, std::string> bytes_of_hex(std::string_view value) {
  if (value.size() % 2 != 0) {
    return std::unexpected("is binary and must be hexadecimal digits, two for each byte, but there are " +
                           std::to_string(value.size()));
  }
  Content content;
  for (std::size_t i = 0; i < value.size(); i += 2) {
    const int high = hex_value(value[i]);
    const int low = hex_value(value[i + 1]);
    if (high < 0 || low < 0) {
      return std::unexpected("is binary and must be hexadecimal digits; character " +
                             std::to_string(high < 0 ? i + 1 : i + 2) + " is none");
    }
    content.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return content;
}

std::string_view unit_of(FieldEncoding encoding) {
  switch (encoding) {
    case FieldEncoding::bcd:
    case FieldEncoding::bcd_left: return " digits";
    case FieldEncoding::binary:
    case FieldEncoding::hex: return " bytes";
    default: return " characters";
  }
}

void put_hex(Content& out, std::uint8_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  out.push_back(static_cast<std::uint8_t>(kDigits[byte >> 4]));
  out.push_back(static_cast<std::uint8_t>(kDigits[byte & 0x0f]));
}

// `digits` decimal digits of the length, in characters.
Content decimal(std::size_t length, std::uint32_t digits) {
  Content text(digits, '0');
  for (std::size_t i = digits; i > 0; --i, length /= 10) text[i - 1] = static_cast<std::uint8_t>('0' + length % 10);
  return text;
}

void put_bcd(Content& out, const Content& digits, bool left) {
  Content padded = digits;
  if (padded.size() % 2 != 0) padded.insert(left ? padded.end() : padded.begin(), '0');
  for (std::size_t i = 0; i < padded.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>((padded[i] - '0') << 4 | (padded[i + 1] - '0')));
  }
}

void put_prefix(Content& out, const Iso8583Field& field, std::size_t length) {
  const auto digits = field.prefix_digits;
  switch (field.prefix) {
    case LengthPrefix::fixed: break;
    case LengthPrefix::ascii:
      for (const auto digit : decimal(length, digits)) out.push_back(digit);
      break;
    case LengthPrefix::ebcdic:
      for (const auto digit : decimal(length, digits)) out.push_back(kEbcdicOfCharacter[digit]);
      break;
    case LengthPrefix::bcd: put_bcd(out, decimal(length, digits), false); break;
    case LengthPrefix::binary:
      for (int shift = 8 * (digits - 1); shift >= 0; shift -= 8)
        out.push_back(static_cast<std::uint8_t>(length >> shift));
      break;
    case LengthPrefix::hex:
      for (int shift = 8 * (digits - 1); shift >= 0; shift -= 8)
        put_hex(out, static_cast<std::uint8_t>(length >> shift));
      break;
  }
}

}  // namespace

std::expected<Content, std::string> content_of(const Iso8583Field& field, std::string_view value) {
  if (field.encoding == FieldEncoding::none) return std::unexpected("is not in the field specification");
  if (field.encoding == FieldEncoding::binary || field.encoding == FieldEncoding::hex) return bytes_of_hex(value);
  const bool digits_only = field.encoding == FieldEncoding::bcd || field.encoding == FieldEncoding::bcd_left;
  Content content;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto character = static_cast<std::uint8_t>(value[i]);
    if (digits_only && !is_digit(character)) {
      return std::unexpected("is BCD and must be decimal digits; character " + std::to_string(i + 1) + " is none");
    }
    if (character < 0x20 || character > 0x7e) {
      return std::unexpected("must be printable ASCII characters; character " + std::to_string(i + 1) + " is none");
    }
    content.push_back(character);
  }
  return content;
}

std::expected<void, std::string> pad_content(const Iso8583Field& field, Content& content) {
  const std::string unit(unit_of(field.encoding));
  if (content.size() > field.length) {
    return std::unexpected("has " + std::to_string(field.length) + unit +
                           (field.prefix == LengthPrefix::fixed ? "" : " at the most") + ", the value has " +
                           std::to_string(content.size()));
  }
  if (field.prefix != LengthPrefix::fixed || content.size() == field.length) return {};
  const std::size_t missing = field.length - content.size();
  switch (field.padding) {
    case PaddingSide::left: content.insert(content.begin(), missing, field.pad); return {};
    case PaddingSide::right: content.insert(content.end(), missing, field.pad); return {};
    case PaddingSide::none: break;
  }
  return std::unexpected("has " + std::to_string(field.length) + unit +
                         " and no padding in its specification, the value has " + std::to_string(content.size()));
}

Content encode_field(const Iso8583Field& field, const Content& content) {
  Content out;
  put_prefix(out, field, content.size());
  switch (field.encoding) {
    case FieldEncoding::none: break;
    case FieldEncoding::ascii:
    case FieldEncoding::binary: out.insert(out.end(), content.begin(), content.end()); break;
    case FieldEncoding::ebcdic:
      for (const auto character : content) out.push_back(kEbcdicOfCharacter[character]);
      break;
    case FieldEncoding::bcd: put_bcd(out, content, false); break;
    case FieldEncoding::bcd_left: put_bcd(out, content, true); break;
    case FieldEncoding::hex:
      for (const auto byte : content) put_hex(out, byte);
      break;
  }
  return out;
}

}  // namespace tlsmux::config
