#pragma once

// What the broker gives to an engine that it starts. Everything else the engine asks for over the socket.

#include <cstdint>
#include <functional>

#include "config/config.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

struct EngineResources {
  shm::UniqueFd broker_socket;  // for broker::BrokerClient; its end of file means that the broker is dead
  shm::UniqueFd log_output;     // for an own Log
  std::uint32_t restarts = 0;   // how many engines of this broker came before
};

// The engine, in a process of its own: SIGTERM and SIGHUP are blocked (for a signalfd), SIGINT and SIGPIPE are ignored,
// and the user is the one it shall run as. What it returns is the process's exit code.
using EngineMain = std::function<int(const config::Config&, EngineResources)>;

// Exit codes of tlsmuxd and of the engine in it.
inline constexpr int kExitClean = 0;
inline constexpr int kExitConfig = 1;
inline constexpr int kExitUsage = 2;
// From an engine that never served, it ends the broker too: trying again would not help.
inline constexpr int kExitCannotStart = 3;
inline constexpr int kExitKilled = 4;  // the engine did not end when told to

}  // namespace tlsmux::engine
