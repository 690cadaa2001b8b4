#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/host/framing.hpp"

// The layouts of payment hosts by name. The names are those of the engine's presets.
namespace tlsmux::host {

[[nodiscard]] std::optional<Framing> framing_named(std::string_view name);
[[nodiscard]] std::vector<std::string> framing_names();

}  // namespace tlsmux::host
