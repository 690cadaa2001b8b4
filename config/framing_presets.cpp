#include "config/framing_presets.hpp"

#include <array>

namespace tlsmux::config {
namespace {

constexpr auto kPresets = std::to_array<FramingPreset>({
    {"length16", LengthEncoding::binary_be, 2, false},
    {"length16_inclusive", LengthEncoding::binary_be, 2, true},
    {"length32", LengthEncoding::binary_be, 4, false},
    {"length32_inclusive", LengthEncoding::binary_be, 4, true},
    {"ascii4", LengthEncoding::ascii, 4, false},
    {"ascii4_inclusive", LengthEncoding::ascii, 4, true},
});

}  // namespace

std::span<const FramingPreset> framing_presets() { return kPresets; }

std::vector<std::string_view> framing_preset_names() {
  std::vector<std::string_view> names;
  names.reserve(kPresets.size());
  for (const FramingPreset& preset : kPresets) names.push_back(preset.name);
  return names;
}

}  // namespace tlsmux::config
