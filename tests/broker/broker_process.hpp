#pragma once

// A whole broker in a process of its own, with a small engine that does only what the broker sees of an engine.

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "engine/broker/engine_resources.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/broker/process.hpp"

namespace tlsmux::test {

// Asks for the control socket and the group objects, says that it serves, waits for SIGTERM or the broker's death, and
// ends cleanly.
int serve_until_told(const config::Config& config, engine::EngineResources resources);

// Does nothing but wait for SIGTERM, or for the broker's death.
void wait_for_order(const engine::EngineResources& resources);

// One group with a name of its own, a control socket in `folder`, short time-outs.
config::Config broker_config(const TemporaryFolder& folder);

// run_broker in a child, whose log is read here. `prepare` runs first, in the child. `path` is the configuration file.
class BrokerProcess {
 public:
  BrokerProcess(
      const config::Config& config, const engine::EngineMain& engine_main,
      const std::function<bool()>& prepare = [] { return true; }, const std::string& path = {});

  LogPipe& log() { return log_; }
  [[nodiscard]] const ChildProcess& process() const { return process_; }
  // Waits for the next engine_started line: its pid.
  pid_t engine_pid();
  int stop();
  int wait() { return process_.wait(); }

 private:
  LogPipe log_;
  ChildProcess process_;
};

// Files in /dev/shm that bear the group's name.
std::size_t residue(const std::string& group);
// Whether a client gets a connection at the control socket.
bool can_connect(const std::string& path);

}  // namespace tlsmux::test
