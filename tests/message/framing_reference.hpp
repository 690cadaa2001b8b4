#pragma once

// The layouts of FRAMING.md once more, as plainly as possible: a whole stream at once, one settings struct, no state.
// What the engine's own framing does is compared with it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "engine/message/framing_error.hpp"

namespace tlsmux::test {

using Bytes = std::vector<std::byte>;

// What a stream amounts to.
struct Cut {
  std::vector<std::pair<Bytes, Bytes>> messages;  // each with its received header before it
  std::uint64_t keep_alives = 0;
  std::uint64_t controls = 0;
  std::optional<engine::message::FramingError> error;
  bool at_boundary = true;
};

Cut cut_by_reference(const config::FramingSettings& settings, std::span<const std::byte> stream);

// A frame with a message, or with a part of one that goes on in the next frame.
Bytes frame_by_reference(const config::FramingSettings& settings, std::span<const std::byte> message,
                         bool goes_on = false);

}  // namespace tlsmux::test
