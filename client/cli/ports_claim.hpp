#pragma once

#include <cstdint>
#include <string>

namespace tlsmux::client::cli {

struct PortsClaimOptions {
  std::string group;
  std::string type;  // as tmx_bind_service's `port_type`
  std::string protocol = "tcp";
  std::uint32_t owner_pid = 0;  // 0: the shell that runs the command
  std::string control_socket;   // empty: from the environment, else the usual place
};

// `tlsmux ports claim`: takes a port in the name of a process of the same user, which has it until it gives it back, or
// is dead, and no socket holds it. Prints the number. Returns the exit code.
int run_ports_claim(const PortsClaimOptions& options);

struct PortsReleaseOptions {
  std::string group;
  std::uint16_t port = 0;
  std::string protocol = "tcp";
  std::uint32_t owner_pid = 0;
  std::string control_socket;
};

// `tlsmux ports release`: gives such a port back. Returns the exit code.
int run_ports_release(const PortsReleaseOptions& options);

}  // namespace tlsmux::client::cli
