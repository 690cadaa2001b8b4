#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "config/limits.hpp"

namespace tlsmux::engine::message {

// What is equal in a request and its answer. Unused bytes are zero, so keys compare as a whole.
struct CorrelationKey {
  std::array<std::byte, config::kCorrelationKeyBytesMax> bytes{};
  std::uint8_t length = 0;
  friend bool operator==(const CorrelationKey&, const CorrelationKey&) = default;
};

}  // namespace tlsmux::engine::message
