#pragma once

#include <string>

#include "client/cli/engine_patience.hpp"

namespace tlsmux::client::cli {

struct RefreshOptions {
  std::string control_socket;  // empty: from the environment, else the usual one
  bool dry_run = false;        // only show what would change
  bool json = false;
  PatienceLimits patience = {};
};

// `tlsmux refresh`: has the engine read its configuration file anew and change over to it, all of it or nothing. Prints
// the plan, or every error. Returns the exit code.
int run_refresh(const RefreshOptions& options);

}  // namespace tlsmux::client::cli
