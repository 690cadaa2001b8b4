#pragma once

// Values of ISO 8583 fields as an operator writes them in a configuration, and as they are transmitted.
// Binary and hex fields are written as hexadecimal digits, two for each byte; all others as characters.

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/iso8583/iso8583_spec.hpp"

namespace tlsmux::config {

// The content in the field's units: characters or digits, or bytes of a binary or hex field. Not padded. The error says
// what is wrong with the value, in words that can follow "field 41 ".
std::expected<std::vector<std::uint8_t>, std::string> content_of(const Iso8583Field& field, std::string_view value);

// Brings a content to the length of a fixed field by the specification's padding. An error where there is none, or the
// content is too long.
std::expected<void, std::string> pad_content(const Iso8583Field& field, std::vector<std::uint8_t>& content);

// Length prefix and content as transmitted. Requires a content that pad_content accepted.
std::vector<std::uint8_t> encode_field(const Iso8583Field& field, const std::vector<std::uint8_t>& content);

}  // namespace tlsmux::config
