#pragma once

// Names for the framings that hosts commonly use.

#include <span>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::config {

struct FramingPreset {
  std::string_view name;
  LengthEncoding length_encoding;
  std::uint32_t length_bytes;
  bool length_includes_itself;
};

std::span<const FramingPreset> framing_presets();
std::vector<std::string_view> framing_preset_names();

}  // namespace tlsmux::config
