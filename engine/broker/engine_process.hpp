#pragma once

// Starts an engine: forks, gives up privileges and every descriptor the engine must not have, and runs it.

#include <sys/types.h>

#include <expected>
#include <span>
#include <string>

#include "config/config.hpp"
#include "engine/broker/engine_identity.hpp"
#include "engine/broker/engine_resources.hpp"
#include "engine/log/log.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

struct EngineStart {
  const config::Config& config;
  const EngineMain& main;
  const EngineIdentity& identity;
  int log_output;                  // the engine gets a copy
  std::span<const int> inherited;  // the group locks
  std::uint32_t restarts;
};

struct EngineProcess {
  pid_t pid = -1;
  shm::UniqueFd pidfd;
  shm::UniqueFd socket;  // the broker's end, non-blocking
};

// The calling process has one thread. In the child this does not return.
std::expected<EngineProcess, shm::SystemError> start_engine(const EngineStart& start, Log& log);

// How a process ended. `description` is for the log: "exit code 1", "signal 9 (Killed)".
struct EngineEnd {
  bool exited = false;
  int code = 0;  // exit code or signal
  std::string description;
};

// Reaps a process whose pidfd is readable.
EngineEnd reap(const EngineProcess& process);

}  // namespace tlsmux::engine::broker
