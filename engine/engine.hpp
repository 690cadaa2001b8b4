#pragma once

#include "config/config.hpp"
#include "engine/broker/engine_resources.hpp"

namespace tlsmux::engine {

// The engine, from its first request to the broker to its last goodbye: makes the groups' tables, starts the data loop
// and the control server, serves until SIGTERM or the broker's death, drains. Returns the process's exit code.
int run_engine(const config::Config& config, EngineResources resources);

}  // namespace tlsmux::engine
