#include "engine/message/iso8583/key_reader.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::engine::message::iso8583 {
namespace {

using Kind = Iso8583ErrorKind;

constexpr std::uint32_t kProcessingCodeField = 3;
constexpr std::size_t kMtiKeyDigits = 3;  // the fourth tells who sends, or of a repeat
constexpr std::uint32_t kBase1HeaderBytesMax = 255;

std::unexpected<Iso8583Error> fail(Kind kind, std::uint32_t field, std::uint32_t offset) {
  return std::unexpected(Iso8583Error{.kind = kind, .field = static_cast<std::uint16_t>(field), .offset = offset});
}

Trim trim_of(const config::Iso8583Settings& settings, std::uint32_t field) {
  for (const auto& padding : settings.key_padding) {
    if (padding.field != field) continue;
    Trim trim;
    if (!padding.left.empty()) trim.left = padding.left.front();
    if (!padding.right.empty()) trim.right = padding.right.front();
    return trim;
  }
  return padding_of(settings.fields->fields[field]);
}

// Where field `last` ends at the latest.
std::size_t end_of_field_max(const config::Iso8583Settings& settings, std::uint32_t last) {
  const auto& spec = *settings.fields;
  std::size_t bytes =
      settings.header_format == config::HeaderFormat::fixed ? settings.header_bytes : 2 * kBase1HeaderBytesMax;
  bytes += config::content_bytes(spec.mti.encoding, config::kIso8583MtiDigits);
  bytes += std::size_t{3} * config::bitmap_bytes(spec.bitmap);
  for (std::uint32_t number = 2; number <= last; ++number) {
    const auto& field = spec.fields[number];
    bytes += config::prefix_bytes(field) + config::content_bytes(field.encoding, field.length);
  }
  return bytes;
}

}  // namespace

// Writes a key part by part. What does not fit is remembered, not written.
class KeyReader::KeyWriter {
 public:
  explicit KeyWriter(CorrelationKey& key) : key_(key) {}

  bool put(std::uint8_t byte) {
    if (key_.length == key_.bytes.size()) return false;
    key_.bytes[key_.length++] = std::byte{byte};
    return true;
  }

  bool put(std::span<const std::byte> bytes) {
    if (bytes.size() > key_.bytes.size() - key_.length) return false;
    std::ranges::copy(bytes, key_.bytes.begin() + key_.length);
    key_.length = static_cast<std::uint8_t>(key_.length + bytes.size());
    return true;
  }

  Value put(const config::Iso8583Field& field, const Trim& trim, std::span<const std::byte> content,
            std::uint32_t length) {
    if (key_.length == key_.bytes.size()) return {.fault = ValueFault::no_room};
    const std::size_t value_at = key_.length + std::size_t{1};
    const Value value = read_value(field, trim, content, length, std::span(key_.bytes).subspan(value_at));
    if (value.fault != ValueFault::none) return value;
    key_.bytes[key_.length] = static_cast<std::byte>(value.length);
    key_.length = static_cast<std::uint8_t>(value_at + value.length);
    return value;
  }

 private:
  CorrelationKey& key_;
};

KeyReader::KeyReader(const config::Iso8583Settings& settings) : settings_(settings) {
  TMX_ASSERT(settings_.fields != nullptr);
  TMX_ASSERT(settings_.mti_map.size() == kMtiKeyDigits);
  for (const auto& rule : settings_.key_rules) rules_.push_back(make_rule(rule));
  rules_.push_back(make_rule({.mti = {}, .processing_code = {}, .fields = settings_.key_fields}));
  std::uint32_t last_field = 0;
  for (const auto& rule : rules_) {
    last_field = std::max(last_field, rule.last_field);
    any_processing_code_ |= !rule.processing_code.empty();
  }
  if (any_processing_code_) last_field = std::max(last_field, kProcessingCodeField);
  prefix_bytes_ = std::min<std::size_t>(end_of_field_max(settings_, last_field), config::kKeyPrefixBytesMax);
}

KeyReader::Rule KeyReader::make_rule(const config::KeyRule& settings) const {
  TMX_ASSERT(!settings.fields.empty());
  Rule rule{.mti = settings.mti, .processing_code = settings.processing_code, .fields = {}};
  for (const std::uint32_t field : settings.fields) {
    TMX_ASSERT(config::is_data_field(field));
    rule.fields.push_back({.number = static_cast<std::uint16_t>(field), .trim = trim_of(settings_, field)});
    rule.last_field = std::max(rule.last_field, field);
  }
  return rule;
}

std::expected<char, Iso8583Error> KeyReader::function(const MessageBytes& message) const {
  const auto header_bytes = header_bytes_of(settings_, message);
  if (!header_bytes) return std::unexpected(header_bytes.error());
  const auto mti = read_mti(spec().mti, message, *header_bytes);
  if (!mti) return std::unexpected(mti.error());
  return (*mti)[2];
}

std::expected<CorrelationKey, Iso8583Error> KeyReader::key(const MessageBytes& message) const {
  const auto header_bytes = header_bytes_of(settings_, message);
  if (!header_bytes) return std::unexpected(header_bytes.error());
  const std::size_t header_end = std::size_t{settings_.key_header_offset} + settings_.key_header_length;
  if (header_end > *header_bytes) return fail(Kind::bad_header, 0, 0);
  Walk walk(spec(), message);
  if (const auto started = walk.start(*header_bytes); !started) return std::unexpected(started.error());

  Mti mapped = walk.mti();
  for (std::size_t i = 0; i < kMtiKeyDigits; ++i) {
    mapped[i] = settings_.mti_map[i][static_cast<std::size_t>(walk.mti()[i] - '0')];
  }
  const auto chosen = choose_rule(walk, text_of(mapped));
  if (!chosen) return std::unexpected(chosen.error());
  const Rule& rule = rules_[*chosen];
  if (const auto walked = walk.walk_to(rule.last_field); !walked) return std::unexpected(walked.error());

  CorrelationKey key;
  KeyWriter writer(key);
  writer.put(static_cast<std::uint8_t>(*chosen));
  for (std::size_t i = 0; i < kMtiKeyDigits; ++i) writer.put(static_cast<std::uint8_t>(mapped[i]));
  if (!writer.put(message.bytes.subspan(settings_.key_header_offset, settings_.key_header_length))) {
    return fail(Kind::key_too_long, 0, 0);
  }
  if (const auto written = write_fields(rule, walk, writer); !written) return std::unexpected(written.error());
  return key;
}

std::expected<void, Iso8583Error> KeyReader::write_fields(const Rule& rule, const Walk& walk, KeyWriter& writer) const {
  bool any = false;
  for (const KeyField& field : rule.fields) {
    if (!walk.has(field.number)) {
      if (settings_.absent_key_field == config::AbsentField::skip) continue;
      return fail(Kind::absent, field.number, walk.offset());
    }
    const auto& place = walk.place(field.number);
    if (!writer.put(static_cast<std::uint8_t>(field.number))) {
      return fail(Kind::key_too_long, field.number, place.offset);
    }
    const Value value = writer.put(spec().fields[field.number], field.trim, walk.content(field.number), place.length);
    if (value.fault == ValueFault::no_room) return fail(Kind::key_too_long, field.number, place.offset);
    if (value.fault == ValueFault::bad_value) return fail(Kind::bad_value, field.number, place.offset);
    any = true;
  }
  // A key of nothing but the message's kind would make strangers equal.
  if (!any) return fail(Kind::absent, rule.fields.front().number, walk.offset());
  return {};
}

std::expected<std::size_t, Iso8583Error> KeyReader::choose_rule(Walk& walk, std::string_view mapped_mti) const {
  if (any_processing_code_) {
    if (const auto walked = walk.walk_to(kProcessingCodeField); !walked) return std::unexpected(walked.error());
  }
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (mapped_mti.starts_with(rules_[i].mti) && fits_processing_code(rules_[i], walk)) return i;
  }
  TMX_ASSERT(false);  // the last rule fits all
}

bool KeyReader::fits_processing_code(const Rule& rule, const Walk& walk) const {
  if (rule.processing_code.empty()) return true;
  if (!walk.has(kProcessingCodeField)) return false;
  std::array<std::byte, 64> code{};
  const auto& field = spec().fields[kProcessingCodeField];
  const auto value =
      read_value(field, {}, walk.content(kProcessingCodeField), walk.place(kProcessingCodeField).length, code);
  if (value.fault != ValueFault::none) return false;
  const std::string_view text(reinterpret_cast<const char*>(code.data()), value.length);
  return text.starts_with(rule.processing_code);
}

}  // namespace tlsmux::engine::message::iso8583
