#pragma once

// What is known of one port, and of the process that has it.

#include <cstdint>
#include <optional>
#include <string>

#include "ports/protocol.hpp"
#include "shm/layout.hpp"

namespace tlsmux::ports {

// A process. Two are the same when their pidfd inodes are, or their pids where one of the inodes is unknown.
struct PortOwner {
  std::uint32_t pid = 0;  // 0: unknown
  std::uint32_t uid = 0;
  std::uint64_t client_id = 0;  // 0: not attached
  std::uint64_t pidfd_inode = 0;
  std::string program;

  friend bool operator==(const PortOwner&, const PortOwner&) = default;  // in every field
};

inline bool is_same_process(const PortOwner& one, const PortOwner& other) {
  const bool are_known = one.pidfd_inode != 0 && other.pidfd_inode != 0;
  return are_known ? one.pidfd_inode == other.pidfd_inode : one.pid != 0 && one.pid == other.pid;
}

struct PortEntry {
  Port port;
  shm::PortState state = shm::PortState::free;
  std::uint8_t flags = 0;  // shm::PortFlags
  PortOwner owner;
  std::string label;
  std::uint64_t socket_inode = 0;
  std::uint64_t since_ns = 0;
  std::uint64_t until_ns = 0;  // of a quarantine

  friend bool operator==(const PortEntry&, const PortEntry&) = default;
};

// What the kernel says of one socket on a port at one moment.
struct HeldPort {
  Port port;
  std::uint64_t socket_inode = 0;
  std::uint32_t uid = 0;             // of the socket
  bool is_time_wait = false;         // a connection that lingers, which nobody holds any more
  std::optional<PortOwner> owner{};  // where it was looked up
  bool is_member = false;            // of the group, the owner is; else it only lends the port its name
};

}  // namespace tlsmux::ports
