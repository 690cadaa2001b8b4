#pragma once

#include <string>

namespace tlsmux::client::cli {

struct PortsViewOptions {
  std::string group;           // empty: TLSMUX_GROUP, else all groups that the caller may look at
  std::string control_socket;  // empty: from the environment, else the usual place
  bool json = false;
  bool watch = false;  // again every second, until SIGINT or SIGTERM
  bool check = false;  // differences count in the exit code
};

// `tlsmux ports`: prints the groups' tables of ports beside what the kernel says. Returns the exit code.
int run_ports_view(const PortsViewOptions& options);

}  // namespace tlsmux::client::cli
