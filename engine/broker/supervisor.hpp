#pragma once

// Keeps one engine running: starts it, answers its requests, starts the next when it dies, passes on the order to stop.

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>

#include "config/config.hpp"
#include "engine/broker/broker_requests.hpp"
#include "engine/broker/control_listener.hpp"
#include "engine/broker/engine_process.hpp"
#include "engine/broker/group_locks.hpp"
#include "engine/broker/restart_policy.hpp"
#include "engine/control/linger_limit.hpp"
#include "engine/log/log.hpp"
#include "shm/system/seqpacket.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// What it works with, all of which outlives it.
struct SupervisorParts {
  const config::Config& config;
  const EngineMain& main;
  const EngineIdentity& identity;
  const RequestScope& scope;
  const GroupLocks& locks;
  int log_output;
  Log& log;
};

// SIGTERM, SIGINT and SIGHUP are blocked before it is made and stay so.
class Supervisor {
 public:
  explicit Supervisor(const SupervisorParts& parts);

  // Until the engine has ended for good. Returns tlsmuxd's exit code; the engine is dead then.
  int run();

 private:
  using Clock = std::chrono::steady_clock;

  bool start_first();
  bool start_engine();
  void wait_for_events();
  [[nodiscard]] int milliseconds_to_next_timer() const;
  void on_timers();
  void on_signal();
  void on_request();
  void on_engine_serving();
  void on_engine_end();
  void report_shortened_objects();
  void stop(const char* why);
  [[nodiscard]] std::expected<shm::Packet, shm::SystemError> receive() const;
  // An engine whose socket has ended drains and ends: the only way without CAP_KILL, if it is of another user.
  void cut_off_engine();
  // False: this process may not, and the log says so, with what it needs.
  bool signal_engine(int signal, const char* name, const char* needs);
  bool kill_engine();
  void end_with(int exit_code) { exit_code_ = exit_code; }

  SupervisorParts parts_;
  control::LingerLimit linger_limit_;
  shm::UniqueFd signals_;
  std::optional<ControlListener> listener_;
  std::unique_ptr<EngineProcess> engine_;     // none between two engines
  std::unique_ptr<BrokerRequests> requests_;  // of the present engine
  RestartPolicy policy_;
  Clock::time_point started_at_;  // the present engine
  // Since when clients have nobody: the start of the first engine, or the death of one, until the next one serves.
  std::optional<Clock::time_point> unserved_since_;
  std::optional<Clock::time_point> start_at_;
  std::optional<Clock::time_point> kill_at_;
  std::optional<Clock::time_point> repair_at_;
  std::uint32_t restarts_ = 0;
  bool ever_served_ = false;
  bool stopping_ = false;
  bool killed_ = false;  // since it did not stop
  std::optional<int> exit_code_;
};

}  // namespace tlsmux::engine::broker
