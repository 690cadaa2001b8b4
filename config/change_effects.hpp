#pragma once

// When a changed setting takes effect in a running engine.

#include <string_view>

#include "config/plan.hpp"

namespace tlsmux::config {

enum class Part : std::uint8_t { engine, group, upstream, ssl_wrapper };

struct EffectOfSetting {
  std::string_view key;  // of a setting or an object, as in tls/ca_file; counts for all within it
  Effect effect = Effect::engine_restart;
  std::string_view why_not = {};  // for engine_restart
};

// The row with the longest key that fits. A setting that no row names needs a restart.
const EffectOfSetting& effect_of(Part part, std::string_view key);

}  // namespace tlsmux::config
