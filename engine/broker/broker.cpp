#include "engine/broker/broker.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "config/identity.hpp"
#include "config/state_folder.hpp"
#include "engine/broker/engine_identity.hpp"
#include "engine/broker/group_locks.hpp"
#include "engine/broker/port_enforcement.hpp"
#include "engine/broker/port_table_store.hpp"
#include "engine/broker/predecessor_objects.hpp"
#include "engine/broker/resource_limits.hpp"
#include "engine/broker/start_failure.hpp"
#include "engine/broker/supervisor.hpp"
#include "engine/broker/trace_locks.hpp"
#include "engine/confinement/confinement.hpp"
#include "engine/log/log.hpp"
#include "shm/segment.hpp"

namespace tlsmux::engine::broker {
namespace {

void block_signals() {
  sigset_t blocked;
  ::sigemptyset(&blocked);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&blocked, signal);
  ::sigprocmask(SIG_BLOCK, &blocked, nullptr);
  std::ignore = ::signal(SIGPIPE, SIG_IGN);
  std::ignore = ::signal(SIGCHLD, SIG_DFL);  // ignored, it would leave nothing to reap
}

std::expected<void, std::string> check_unix_groups(const config::Config& config) {
  for (const auto& group : config.groups) {
    if (group.unix_groups.empty()) continue;
    const auto gid = config::resolve_unix_group(group.unix_groups.front());
    if (!gid) return std::unexpected("group " + group.name + ": " + gid.error());
  }
  return {};
}

bool is_key_log_allowed() {
  const char* value = std::getenv(kAllowKeyLogVariable);
  return value != nullptr && std::string_view(value) == "1";
}

void report_privileges(const EngineIdentity& identity, Log& log) {
  if (identity.uid == 0) {
    log.warning("engine_runs_as_root", {{"needs", "/engine/user in the configuration, an account without rights"}});
  }
}

// `config` changes when an engine adopts what is in the file at `path` later.
int supervise(config::Config& config, const std::string& path, const EngineMain& engine_main, int log_output,
              Log& log) {
  const auto cannot_start = [&](const std::string& why) {
    report_start_failure(why, log_output, log);
    return kExitCannotStart;
  };
  const auto identity = resolve_engine_identity(config.engine);
  if (!identity) return cannot_start(identity.error());
  if (const auto good = check_unix_groups(config); !good) return cannot_start(good.error());
  report_privileges(*identity, log);
  raise_limits(config, log);
  if (config.engine.confinement == config::Confinement::on) {
    if (const auto confined = confinement::confine_broker(log_output); !confined) {
      return cannot_start(confined.error().message);
    }
  }
  auto taken = lock_groups(config.groups);
  if (!taken) {
    for (const auto& error : taken.error()) cannot_start(error);
    return kExitCannotStart;
  }
  for (const auto& lock : *taken) log_displaced(lock, log);
  GroupLocks locks(std::move(*taken));
  PortEnforcement ports(config.engine, identity->uid, log);
  if (const auto errors = ports.find_errors(config, nullptr); !errors.empty()) {
    for (const auto& error : errors) cannot_start(error.pointer + ": " + error.message);
    return kExitCannotStart;
  }
  ports.apply(config);
  const PortTableStore port_tables(config::state_folder(config.engine), config.engine.control_socket, log);
  PredecessorObjects predecessors(identity->uid, &port_tables);
  predecessors.forget_others(config.groups);
  TraceLocks trace_locks;
  CandidateConfig candidate(config, locks, path, &ports);
  const RequestScope scope{.config = config,
                           .log = log,
                           .engine_uid = identity->uid,
                           .engine_gid = identity->gid,
                           .key_log_allowed = is_key_log_allowed(),
                           .candidate = &candidate,
                           .ports = &ports,
                           .predecessors = &predecessors,
                           .trace_locks = &trace_locks};
  const int exit_code = Supervisor({.config = config,
                                    .main = engine_main,
                                    .identity = *identity,
                                    .scope = scope,
                                    .locks = locks,
                                    .log_output = log_output,
                                    .log = log})
                            .run();
  candidate.drop();
  ports.leave();
  predecessors.keep_all(config.groups);
  for (const auto& group : config.groups) shm::remove_group_object(group.name);
  log.info("stopped", {{"exit_code", exit_code}});
  return exit_code;
}

}  // namespace

int run_broker(config::Config config, const std::string& path, const EngineMain& engine_main) {
  block_signals();
  auto log_output = open_log(config.engine.log);
  if (!log_output) {
    std::ignore = std::fprintf(stderr, "tlsmuxd: %s\n", log_output.error().message.c_str());
    return kExitCannotStart;
  }
  const int descriptor = log_output->get();
  Log log(config.engine.log.level, std::move(*log_output), Log::Mode::synchronous);
  return supervise(config, path, engine_main, descriptor, log);
}

}  // namespace tlsmux::engine::broker
