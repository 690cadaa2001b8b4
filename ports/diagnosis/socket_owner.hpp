#pragma once

// Which process has a socket open, by its inode: looks through /proc/PID/fd, which needs the same user or privilege.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tlsmux::ports {

struct SocketOwner {
  std::uint64_t socket_inode = 0;
  std::uint32_t pid = 0;          // of several, the lowest
  std::uint32_t uid = 0;          // real
  std::uint64_t pidfd_inode = 0;  // 0: this kernel has none that lasts (before 6.9)
  std::string program;            // as in /proc/PID/comm
};

// Those that were found. What no process has in its table of descriptors is not: a socket under way in a message, or one
// that only an io_uring holds. Blocks for some microseconds for each descriptor that is open on the machine.
std::vector<SocketOwner> find_socket_owners(std::span<const std::uint64_t> inodes);

// Those of the sockets that this process has open, perhaps beside others.
std::vector<std::uint64_t> open_sockets(std::uint32_t pid, std::span<const std::uint64_t> inodes);

}  // namespace tlsmux::ports
