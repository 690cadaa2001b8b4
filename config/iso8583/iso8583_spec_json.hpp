#pragma once

// Field specifications of ISO 8583 in the JSON format of moov-io's iso8583, in its older form ("Field003",
// "asciiEncoder", pad as a number) and its newer one ("3", "ASCII", pad as a text). config/iso8583 holds tlsmux's own.

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "config/iso8583/iso8583_spec.hpp"

namespace tlsmux::config {

// Longer specifications are refused unread.
inline constexpr std::size_t kIso8583SpecFileBytesMax = 1U << 20;

// What is not in the format is refused: the error is "POINTER: what is wrong and what would be right", for the first
// fault found.
std::expected<Iso8583Spec, std::string> parse_iso8583_spec(std::string_view json_text);

// The JSON text of "1987_ascii", "1987_binary" or "1993_ascii".
std::optional<std::string_view> built_in_iso8583_spec(std::string_view name);

}  // namespace tlsmux::config
