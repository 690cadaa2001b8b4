#pragma once

// TCP sockets that hold a group's ports where there is no eBPF: bound with SO_REUSEPORT to 0.0.0.0 and [::] in the name
// of the group's one user, never listening. The kernel then refuses the port to everybody else, root included, while
// that user's programs bind it with SO_REUSEPORT. Not for UDP, where a holder would be given datagrams. They end with
// the process that has them.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ports/book/port_set.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

class HolderSockets {
 public:
  struct Failure {
    std::uint16_t port = 0;
    int error = 0;
  };

  // Holds these and no others, in the name of `user`. What is held already is not let go in between, unless for another
  // user: two users' holders cannot overlap, and each port is free for some microseconds. Returns what could not be had:
  // ports that somebody has. Needs CAP_CHOWN, and CAP_NET_BIND_SERVICE for low ones. One thread.
  std::vector<Failure> hold(const PortSet& ports, uid_t user);

  // Sockets: two for each port.
  [[nodiscard]] std::size_t count() const { return sockets_.size(); }
  [[nodiscard]] const std::unordered_set<std::uint64_t>& inodes() const { return inodes_; }
  // A holder's own socket, which is nobody's claim.
  [[nodiscard]] bool is_holder(std::uint64_t socket_inode) const { return inodes_.contains(socket_inode); }

 private:
  struct Holder {
    std::uint64_t inode = 0;
    shm::UniqueFd socket;
  };
  // The errno if a part of it cannot be had.
  int hold(std::uint16_t port);
  void release(std::uint16_t port);

  std::map<std::pair<std::uint16_t, int>, Holder> sockets_;  // by port and address family
  std::unordered_set<std::uint64_t> inodes_;
  uid_t user_ = 0;
};

}  // namespace tlsmux::ports
