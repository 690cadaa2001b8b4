#pragma once

// tlsmuxd's privileged parent process: sets up what needs privilege, then supervises an unprivileged engine.

#include "config/config.hpp"
#include "engine/broker/engine_resources.hpp"

namespace tlsmux::engine::broker {

// Runs until told to stop (SIGTERM, SIGINT) or until the engine ends by itself. The calling process has one thread and
// leaves its signals to this. Returns tlsmuxd's exit code. What is wrong is in the log.
int run_broker(const config::Config& config, const EngineMain& engine_main);

}  // namespace tlsmux::engine::broker
