#include "client/cli/engine_text.hpp"

#include "client/cli/table.hpp"
#include "client/cli/time_text.hpp"

namespace tlsmux::client::cli {
namespace {

// The tables may be a stranger's, and the pid another process's by now: no more than can be seen.
std::string process_text(const EngineFacts& engine) {
  const auto pid = std::to_string(engine.pid);
  if (!engine.process) return "";
  switch (*engine.process) {
    case ProcessSight::gone: return "; there is no process " + pid;
    case ProcessSight::stopped: return "; there is a process " + pid + ", stopped by a signal";
    case ProcessSight::there: return "; there is a process " + pid;
  }
  return "";
}

std::string restarts_text(const EngineFacts& engine) {
  if (engine.restarts == 0) return "";
  return ", RESTARTED " + (engine.restarts == 1 ? "once" : std::to_string(engine.restarts) + " times") +
         " since tlsmuxd was started";
}

std::string no_engine_text(const EngineFacts& engine) {
  const std::string text = "WARNING: no engine answers on the control socket; ";
  if (!engine.stranger) return text + "this is what the last one wrote\n";
  return text + "these tables are of user " + std::to_string(*engine.stranger) +
         (engine.stranger_name.empty() ? "" : " (" + escaped(engine.stranger_name) + ")") +
         ", and made up unless the last engine was that user's\n";
}

}  // namespace

std::string engine_text(const EngineFacts& engine) {
  const auto silence = span_text(static_cast<std::int64_t>(engine.heartbeat_age_ns / 1'000'000'000));
  auto text = "group " + escaped(engine.group) + ": engine pid " + std::to_string(engine.pid) + ", " +
              (engine.answers ? "" : "last said: ") + engine.state + ", started " +
              clock_text(engine.started_s, "%Y-%m-%d %H:%M:%S") + restarts_text(engine) + "\n";
  if (!engine.answers) {
    text += no_engine_text(engine) + "WARNING: by these tables its data loop last moved " + silence + " ago" +
            process_text(engine) + "\n";
  } else if (engine.heartbeat_age_ns > kHeartbeatWorryNs) {
    text += "WARNING: the engine's data loop has not moved for " + silence + "\n";
  }
  return text;
}

}  // namespace tlsmux::client::cli
