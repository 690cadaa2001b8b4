#pragma once

// A configuration's ports against the rest of the machine: other engines that serve them already, and processes that
// have them. For the start of tlsmuxd, for refresh, and for `tlsmux check`. Looks and changes nothing.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/config_error.hpp"
#include "ports/protocol.hpp"

namespace tlsmux::ports {

// By a process that is no member of the group.
struct PortInUse {
  Port port;
  std::string group;
  std::uint32_t pid = 0;  // 0: not found, which takes root
  std::uint32_t uid = 0;  // of the process, else of the socket
  std::string program{};  // as the process calls itself
  bool is_listening = false;

  // Printable: `port 1000/tcp of group A is held by "nc" (pid 17, uid 1000): ...`
  [[nodiscard]] std::string text() const;
};

struct MachineFindings {
  config::ConfigErrors errors;    // ports that another engine gives out in the same network namespace
  std::vector<PortInUse> in_use;  // for a warning; one for each port
};

// `own_groups` are served by the caller's own engine: what that engine gives out is no clash, nor is what an engine does
// that serves one of the configuration's groups. An engine that neither root nor the caller runs does not count. Blocks
// for some milliseconds, and on the account database.
MachineFindings check_machine(const config::Config& config, std::span<const std::string> own_groups = {});

}  // namespace tlsmux::ports
