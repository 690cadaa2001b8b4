#pragma once

// tlsmuxd's privileged parent process: sets up what needs privilege, then supervises an unprivileged engine.

#include <string>

#include "config/config.hpp"
#include "engine/broker/engine_resources.hpp"

namespace tlsmux::engine::broker {

// Runs until told to stop (SIGTERM, SIGINT) or until the engine ends by itself. The calling process has one thread and
// leaves its signals to this. `config` is what was in the file at `path`, which is read again when an engine asks for
// it; empty: there is none. Returns tlsmuxd's exit code. What is wrong is in the log.
int run_broker(config::Config config, const std::string& path, const EngineMain& engine_main);

}  // namespace tlsmux::engine::broker
