#pragma once

// The engine's part of what `tlsmux status` and `tlsmux ports` tell scripts of a group.

#include <nlohmann/json_fwd.hpp>

#include "client/cli/engine_facts.hpp"

namespace tlsmux::client::cli {

// An object, to which the command adds what it shows.
nlohmann::ordered_json engine_json(const EngineFacts& engine);

}  // namespace tlsmux::client::cli
