#include "config/framing_presets.hpp"

namespace tlsmux::config {
namespace {

using enum LengthEncoding;

constexpr std::uint8_t kStx = 0x02;
constexpr std::uint8_t kEtx = 0x03;
constexpr std::uint32_t kVmlMessageBytesMax = 2048;

FramingSettings length(LengthEncoding encoding, std::uint32_t bytes) {
  return {.length_encoding = encoding, .length_bytes = bytes};
}

FramingSettings inclusive(FramingSettings framing) {
  framing.length_includes_itself = true;
  return framing;
}

FramingSettings echoing(FramingSettings framing) {
  framing.keep_alive = KeepAlive::echo;
  return framing;
}

FramingSettings delimited(std::vector<std::uint8_t> start, std::vector<std::uint8_t> delimiter) {
  return {.kind = FramingKind::delimiter, .start = std::move(start), .delimiter = std::move(delimiter)};
}

// A length, then two bytes that are reserved.
FramingSettings with_reserved_bytes() {
  return {.length_encoding = binary_be, .length_bytes = 2, .after_length = {0, 0}};
}

FramingSettings vml() {
  auto framing = with_reserved_bytes();
  framing.control_mask = {0x00, 0xf0};
  framing.control_value = {0x00, 0x20};
  framing.message_bytes_max = kVmlMessageBytesMax;
  return framing;
}

FramingSettings gicc() {
  auto framing = length(binary_be, 2);
  framing.before_length = {0, 0};
  return echoing(framing);
}

FramingSettings rbp() {
  auto framing = with_reserved_bytes();
  framing.before_length = {0xd0, 0x4a};
  framing.more_after_length = {1, 0};
  return framing;
}

FramingSettings base24_tcp() {
  auto framing = length(binary_be, 2);
  framing.trailer = {kEtx};
  return echoing(framing);
}

std::vector<FramingPreset> make_presets() {
  return {
      {"length16", length(binary_be, 2)},
      {"length16_inclusive", inclusive(length(binary_be, 2))},
      {"length16_le", length(binary_le, 2)},
      {"length24", length(binary_be, 3)},
      {"length32", length(binary_be, 4)},
      {"length32_inclusive", inclusive(length(binary_be, 4))},
      {"ascii4", length(ascii, 4)},
      {"ascii4_inclusive", inclusive(length(ascii, 4))},
      {"hex4", length(hex, 4)},
      {"bcd4", length(bcd, 2)},
      {"etx", delimited({}, {kEtx})},
      {"stx_etx", delimited({kStx}, {kEtx})},
      {"cr", delimited({}, {'\r'})},
      {"lf", delimited({}, {'\n'})},
      {"crlf", delimited({}, {'\r', '\n'})},
      // By the names that payment systems know them by.
      {"post", length(binary_be, 2)},
      {"nac", length(binary_be, 2)},
      {"nac_inclusive", inclusive(length(binary_be, 2))},
      {"bcd", length(bcd, 2)},
      {"ncc", length(bcd, 2)},
      {"amex", inclusive(length(binary_be, 2))},
      {"raw", length(binary_be, 4)},
      {"cmf", echoing(length(binary_be, 3))},
      {"cs", echoing(with_reserved_bytes())},
      {"vap", echoing(with_reserved_bytes())},
      {"vml", vml()},
      {"gicc", gicc()},
      {"rbp", rbp()},
      {"base24", delimited({}, {kEtx})},
      {"base24_tcp", base24_tcp()},
      // For streams only.
      {"http1", {.kind = FramingKind::http1}},
      {"none", {.kind = FramingKind::none}},
  };
}

}  // namespace

std::span<const FramingPreset> framing_presets() {
  static const std::vector<FramingPreset> presets = make_presets();
  return presets;
}

std::vector<std::string_view> framing_preset_names() {
  std::vector<std::string_view> names;
  for (const FramingPreset& preset : framing_presets()) names.push_back(preset.name);
  return names;
}

}  // namespace tlsmux::config
