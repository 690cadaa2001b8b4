#pragma once

// What a length on the wire can state.

#include <cstdint>

#include "config/config.hpp"

namespace tlsmux::config {

// The largest number that a length of so many bytes holds. Requires 1 <= length_bytes <= kLengthHeaderBytesMax.
std::uint64_t largest_length(LengthEncoding encoding, std::uint32_t length_bytes);

}  // namespace tlsmux::config
