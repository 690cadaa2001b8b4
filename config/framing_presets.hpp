#pragma once

// Names for the framings that hosts commonly use. engine/message/FRAMING.md has an example of each.

#include <span>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::config {

struct FramingPreset {
  std::string_view name;
  FramingSettings settings;
};

// They live as long as the program.
std::span<const FramingPreset> framing_presets();
std::vector<std::string_view> framing_preset_names();

}  // namespace tlsmux::config
