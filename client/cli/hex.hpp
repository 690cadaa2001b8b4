#pragma once

// Bytes as hexadecimal digits.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::client::cli {

// Pairs of digits, with spaces, colons or line ends between pairs. Nothing when there is anything else.
std::optional<std::vector<std::byte>> from_hex(std::string_view text);

// One line of digits.
std::string to_hex(std::span<const std::byte> bytes);

// For people: 16 bytes a line with their offset, and the printable ones as text.
std::string hex_dump(std::span<const std::byte> bytes);

}  // namespace tlsmux::client::cli
