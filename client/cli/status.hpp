#pragma once

#include <string>

namespace tlsmux::client::cli {

struct StatusOptions {
  std::string group;           // empty: TLSMUX_GROUP, else all groups that the caller may look at
  std::string control_socket;  // empty: from the environment, else the usual place
  bool json = false;
};

// `tlsmux status`: prints what the engine writes into the groups' tables. Returns the exit code.
int run_status(const StatusOptions& options);

}  // namespace tlsmux::client::cli
