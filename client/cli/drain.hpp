#pragma once

#include <cstdint>
#include <string>

#include "client/cli/engine_patience.hpp"
#include "client/cli/status_report.hpp"

namespace tlsmux::client::cli {

struct DrainOptions {
  std::string upstream;
  std::string control_socket;    // empty: from the environment, else the usual one
  std::uint32_t timeout_ms = 0;  // 0: as long as the upstream's timeouts/drain_ms
  bool resume = false;
  PatienceLimits patience = {};
};

// What the upstream still has to do, without an end of line. Empty: by the group's tables the engine has not taken the order yet, or
// they are old, or the group does not use it.
std::string drain_progress(const GroupStatus& group, const std::string& upstream);

// `tlsmux drain`: has an upstream take no requests, waits until those that it has are done, or undoes it. Returns the
// exit code.
int run_drain(const DrainOptions& options);

}  // namespace tlsmux::client::cli
