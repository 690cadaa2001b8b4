#include "engine/message/iso8583/field_values.hpp"

#include "config/iso8583/iso8583_value.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::message::iso8583 {
namespace {

// As read_value would give it.
std::vector<std::byte> trimmed(const std::vector<std::uint8_t>& content, const Trim& trim) {
  std::size_t begin = 0;
  std::size_t end = content.size();
  if (trim.left) {
    while (begin < end && content[begin] == *trim.left) ++begin;
  }
  if (trim.right) {
    while (begin < end && content[end - 1] == *trim.right) --end;
  }
  std::vector<std::byte> value;
  for (std::size_t i = begin; i < end; ++i) value.push_back(std::byte{content[i]});
  return value;
}

}  // namespace

FieldValues::FieldValues(const config::Iso8583Settings& settings, const std::map<std::uint32_t, std::string>& values)
    : settings_(settings) {
  TMX_ASSERT(settings_.fields != nullptr);
  for (const auto& [number, text] : values) {
    TMX_ASSERT(config::is_data_field(number));
    const auto& field = settings_.fields->fields[number];
    const auto content = config::content_of(field, text);
    TMX_ASSERT(content.has_value());
    const Trim trim = padding_of(field);
    values_.push_back({.field = static_cast<std::uint16_t>(number), .trim = trim, .value = trimmed(*content, trim)});
  }
}

std::expected<std::optional<std::uint16_t>, Iso8583Error> FieldValues::first_difference(
    std::span<const std::byte> message) const {
  const MessageBytes bytes(message);
  const auto header_bytes = header_bytes_of(settings_, bytes);
  if (!header_bytes) return std::unexpected(header_bytes.error());
  Walk walk(*settings_.fields, bytes);
  if (const auto started = walk.start(*header_bytes); !started) return std::unexpected(started.error());
  return first_difference(walk);
}

std::expected<std::optional<std::uint16_t>, Iso8583Error> FieldValues::first_difference(Walk& walk) const {
  for (const Wanted& wanted : values_) {
    if (!walk.has(wanted.field)) return wanted.field;
    if (const auto walked = walk.walk_to(wanted.field); !walked) return std::unexpected(walked.error());
    const auto& field = settings_.fields->fields[wanted.field];
    const auto length = walk.place(wanted.field).length;
    if (!value_equals(field, wanted.trim, walk.content(wanted.field), length, wanted.value)) return wanted.field;
  }
  return std::nullopt;
}

}  // namespace tlsmux::engine::message::iso8583
