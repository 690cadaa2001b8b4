#pragma once

// A real tlsmuxd: the broker, its engine, and their log.

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"
#include "tests/system/log_reader.hpp"

namespace tlsmux::test {

struct EngineLaunch {
  // Runs in the new process before tlsmuxd does. False: it does not start.
  std::function<bool()> prepare = {};
  bool wait_until_serving = true;
};

class EngineProcess {
 public:
  // Writes the configuration into `folder` and starts tlsmuxd with it.
  EngineProcess(const TemporaryFolder& folder, const config::Config& config, const EngineLaunch& launch = {});
  // Whatever still runs is killed, and what that leaves is removed.
  ~EngineProcess();
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  [[nodiscard]] pid_t broker_pid() const { return broker_; }
  // Of the engine that serves, or served last.
  [[nodiscard]] pid_t engine_pid() const { return engine_; }
  LogReader& log() { return log_; }
  // For those who run for long: what was logged so far is looked through for complaints and dropped.
  void forget_log();

  void await_sessions(std::size_t sessions) { log_.wait_for("event=session_ready", sessions); }
  void await_serving();
  // SIGKILL; returns when the next engine serves.
  void kill_engine();
  void await_restart(pid_t killed);
  // SIGKILL to the broker alone. Returns when the engine has ended by itself, with the engine's exit code.
  int kill_broker();
  // SIGTERM; waits for the end of both. The exit code, or 128 + a signal. Nothing a sanitizer said is overlooked.
  int stop();
  // Waits for an end that something else causes.
  int wait();

 private:
  void check_log();

  config::Config config_;
  LogReader log_;
  pid_t broker_ = -1;
  pid_t engine_ = -1;
  std::size_t restarts_seen_ = 0;
};

// What `tlsmux status --json` prints about the config's first group. Fails the test if the command does.
std::string status_json(const config::Config& config);

// The exit code of a child of this process, or 128 + the signal that killed it. Fails the test if it does not end.
int reap(pid_t child);

}  // namespace tlsmux::test
