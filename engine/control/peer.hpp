#pragma once

// Who is at the other end of a control socket.
//
// The rule of membership speaks of real ids, but SO_PEERCRED gives the effective ones at the time of connecting. The
// difference matters for set-user-id programs: one that belongs to a member must not let every user of the machine into
// the group. So the real ids are asked of the pidfd (Linux 6.13), or read from /proc/PID/status, which anybody may read,
// while the pidfd proves that PID is still the process that connected. Where both are out of reach (another pid
// namespace, hidepid), the effective ids count: they are what the kernel itself would check for a file of the group.
//
// They count as well where the process has other effective ids by now than when it connected. A stranger can connect, hand
// the socket to another process, and begin a set-user-id program that makes itself root wholly, as many do for a while:
// what its process has become says nothing of who asks.

#include <sys/types.h>

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

struct Peer {
  pid_t pid = 0;            // 0: in another pid namespace
  uid_t uid = 0;            // real
  uid_t connected_as = 0;   // effective, when it connected
  std::vector<gid_t> gids;  // real and supplementary
  std::string program;      // its name, printable
  shm::UniqueFd pidfd;      // readable once it is dead
};

// The effective uid at the time of connecting; cheap. For counting, not for judging.
std::expected<uid_t, shm::SystemError> uid_of_peer(int socket);

// ESRCH when the process is dead. The pidfd is of the process that connected, whoever holds the socket by now.
// `program` is the name that the process gives itself, and may be anything, as every process may name itself as it likes;
// empty: that name is looked up.
std::expected<Peer, shm::SystemError> identify_peer(int socket, std::string_view program = {});

// It is dead, or so far on its way there that nothing is mapped in it any more: a process closes its sockets between
// the two. False where neither is to be seen.
bool has_given_up_memory(const Peer& peer);

// What identify_peer takes from the text of /proc/PID/status; false when that is not such a text.
struct ProcessStatus {
  std::string program;
  uid_t real_uid = 0;
  uid_t effective_uid = 0;
  gid_t real_gid = 0;
  gid_t effective_gid = 0;
};
bool read_status(std::string_view text, ProcessStatus& status);

}  // namespace tlsmux::engine::control
