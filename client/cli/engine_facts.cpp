#include "client/cli/engine_facts.hpp"

#include "client/cli/account_names.hpp"

namespace tlsmux::client::cli {
namespace {

std::string state_name(shm::EngineState state) {
  switch (state) {
    case shm::EngineState::starting: return "starting";
    case shm::EngineState::running: return "running";
    case shm::EngineState::draining: return "draining";
    case shm::EngineState::stopped: return "stopped";
  }
  return "unknown";
}

}  // namespace

EngineFacts engine_facts(const ObservedGroup& observed, std::uint64_t now_ns) {
  const auto& header = observed.view.header();
  const auto heartbeat_ns = header.heartbeat_ns.load(std::memory_order_relaxed);
  return {.group = observed.name,
          .answers = observed.engine_answers,
          .stranger = observed.stranger,
          .stranger_name = observed.stranger ? user_name(*observed.stranger) : std::string(),
          .process = observed.process,
          .pid = header.engine_pid,
          .state = state_name(header.state.load(std::memory_order_relaxed)),
          .started_s = header.engine_started_s,
          .restarts = header.restarts,
          .heartbeat_age_ns = now_ns > heartbeat_ns ? now_ns - heartbeat_ns : 0};
}

}  // namespace tlsmux::client::cli
