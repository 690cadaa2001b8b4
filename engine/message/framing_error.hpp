#pragma once

#include <cstdint>

namespace tlsmux::engine::message {

// What makes a host's byte stream impossible to cut into messages.
enum class FramingError : std::uint8_t {
  too_long,          // a stated length, a frame without its end, or parts that together are over the limit
  too_short,         // a length smaller than what it must count
  not_a_number,      // a digit that is none
  unexpected_bytes,  // other bytes where the layout has fixed ones
};

// One sentence for the log. Names no byte of the stream.
const char* framing_error_text(FramingError error);

}  // namespace tlsmux::engine::message
