#pragma once

#include <string>

namespace tlsmux::client::cli {

struct PortsUnpinOptions {
  std::string config;          // a file; empty: none
  std::string control_socket;  // without a file; empty: from the environment, else the usual one
  bool all = false;            // every instance that is found beside it
};

// `tlsmux ports unpin`: takes guard and own reservation away, of the configuration's instance or of the one that belongs
// to the control socket. Not while its tlsmuxd runs. Returns the exit code.
int run_ports_unpin(const PortsUnpinOptions& options);

}  // namespace tlsmux::client::cli
