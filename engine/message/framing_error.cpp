#include "engine/message/framing_error.hpp"

namespace tlsmux::engine::message {

const char* framing_error_text(FramingError error) {
  switch (error) {
    case FramingError::too_long: return "a message is longer than message_bytes_max";
    case FramingError::too_short: return "the stated length of a message is smaller than what it must count";
    case FramingError::not_a_number: return "the length of a message holds a byte that is no digit";
    case FramingError::unexpected_bytes: return "the bytes around a message are not those of the configured framing";
  }
  return "unknown framing error";
}

}  // namespace tlsmux::engine::message
