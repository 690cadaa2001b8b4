#pragma once

// The groups that engines of this machine serve at this moment, whoever runs them, with the ports that they give out:
// by the locks in /dev/shm and the tables beside them. Seeing those of other users takes root.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ports/book/port_set.hpp"
#include "shm/layout.hpp"

namespace tlsmux::ports {

struct LiveGroup {
  std::string name;
  std::uint32_t engine_pid = 0;
  shm::BootId boot_id{};           // of the engine: its groups have the same
  std::array<PortSet, 2> ports;    // by protocol
  bool is_in_this_network = true;  // in the caller's network namespace, or in one that cannot be told
  bool is_trusted = false;         // root or the caller runs it; what others' tables say may be made up
};

// Who serves a group, as its lock says. Anybody can lock a file of that name: `uid` is the one thing that cannot be made up.
struct GroupServer {
  std::uint32_t pid = 0;  // 0: not known
  uid_t uid = 0;          // whose lock it is
};

// Nothing: no one serves it, or it is another user's and this is not root.
std::optional<GroupServer> server_of(const std::string& group);

// Their names, by the locks alone: also of those whose tables cannot be read.
std::vector<std::string> find_served_groups();

// What cannot be read is left out. Blocks for some milliseconds.
std::vector<LiveGroup> find_live_groups();

}  // namespace tlsmux::ports
