#include "tests/message/iso8583_support.hpp"

#include <memory>

#include "config/iso8583/iso8583_spec_json.hpp"
#include "shm/assert.hpp"

namespace tlsmux::test {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

std::string_view name_of(engine::message::iso8583::Iso8583ErrorKind kind) {
  using enum engine::message::iso8583::Iso8583ErrorKind;
  switch (kind) {
    case truncated: return "truncated";
    case beyond_prefix: return "beyond_prefix";
    case bad_header: return "bad_header";
    case bad_mti: return "bad_mti";
    case bad_bitmap: return "bad_bitmap";
    case too_many_bitmaps: return "too_many_bitmaps";
    case unknown_field: return "unknown_field";
    case bad_length: return "bad_length";
    case too_long: return "too_long";
    case bad_value: return "bad_value";
    case absent: return "absent";
    case key_too_long: return "key_too_long";
    case trailing_bytes: return "trailing_bytes";
    case no_room: return "no_room";
  }
  return "?";
}

}  // namespace

Bytes from_hex(std::string_view digits) {
  Bytes bytes;
  bool high = true;
  for (const char digit : digits) {
    if (digit == ' ' || digit == '\n') continue;
    const char lower = digit >= 'A' && digit <= 'F' ? static_cast<char>(digit - 'A' + 'a') : digit;
    const std::size_t value = kDigits.find(lower);
    TMX_ASSERT(value != std::string_view::npos);
    if (high) {
      bytes.push_back(static_cast<std::byte>(value << 4));
    } else {
      bytes.back() |= static_cast<std::byte>(value);
    }
    high = !high;
  }
  TMX_ASSERT(high);
  return bytes;
}

Bytes from_text(std::string_view text) {
  Bytes bytes;
  for (const char character : text) bytes.push_back(static_cast<std::byte>(character));
  return bytes;
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<std::size_t>(byte >> 4)];
    text += kDigits[std::to_integer<std::size_t>(byte & std::byte{0x0f})];
  }
  return text;
}

std::string to_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

config::Iso8583Spec built_in(std::string_view name) {
  const auto json = config::built_in_iso8583_spec(name);
  TMX_ASSERT(json.has_value());
  auto spec = config::parse_iso8583_spec(*json);
  TMX_ASSERT(spec.has_value());
  return *std::move(spec);
}

config::Iso8583Settings settings_with(const config::Iso8583Spec& spec) {
  config::Iso8583Settings settings;
  settings.spec = "/spec.json";
  settings.fields = std::make_shared<const config::Iso8583Spec>(spec);
  return settings;
}

config::Iso8583Settings settings_with(std::string_view built_in_name) {
  auto settings = settings_with(built_in(built_in_name));
  settings.spec = built_in_name;
  return settings;
}

std::string as_text(const engine::message::iso8583::Iso8583Error& error) {
  return std::string(name_of(error.kind)) + " field " + std::to_string(error.field) + " offset " +
         std::to_string(error.offset);
}

}  // namespace tlsmux::test
