#pragma once

// The number that tells how long a message is, in each of its spellings. Pure.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "config/config.hpp"
#include "engine/message/framing_error.hpp"

namespace tlsmux::engine::message {

// Fills the whole of `field`, with leading zeros. Requires a value that fits: config::largest_length().
void write_length(config::LengthEncoding encoding, std::span<std::byte> field, std::uint64_t value);

// Only not_a_number can go wrong; any value of the field's width is read.
std::expected<std::uint64_t, FramingError> read_length(config::LengthEncoding encoding,
                                                       std::span<const std::byte> field);

}  // namespace tlsmux::engine::message
