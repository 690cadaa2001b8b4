#pragma once

// What the kernel says about a group's ports and the processes that have them, as far as this user may know.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "client/cli/ports_report.hpp"
#include "ports/diagnosis/socket_diagnosis.hpp"
#include "ports/diagnosis/socket_owner.hpp"

namespace tlsmux::client::cli {

struct ProcessFact {
  std::uint32_t uid = 0;    // real
  std::vector<gid_t> gids;  // real and supplementary
};

struct KernelFacts {
  std::string trouble = {};  // why it could not be asked; empty: it was
  bool sees_bound_sockets = true;
  std::vector<ports::SocketFact> sockets = {};
  std::vector<ports::SocketOwner> owners = {};          // of a socket, the lowest and the one that the table names
  std::map<std::uint32_t, ProcessFact> processes = {};  // the owners, by pid
  std::map<std::uint32_t, std::uint32_t> parents = {};  // of them and their ancestors, by pid
  std::vector<std::uint32_t> preloaded = {};            // of those, under libtlsmux_ports.so
  std::uint32_t broker_pid = 0;                         // 0: unknown
};

// Asks about the ports that the report's rules and tables name, in this process's network namespace, which must be the
// engine's. Blocks for some milliseconds.
KernelFacts ask_kernel(const PortsReport& report);

}  // namespace tlsmux::client::cli
