#pragma once

// Whose a TCP connection's end on this machine is, by the kernel's own word: NETLINK_SOCK_DIAG (sock_diag(7)), of the
// network namespace that the process is in. Asks for one connection, which the kernel finds by its hash. Needs no privilege.

#include <cstdint>
#include <expected>
#include <optional>

#include "shm/control_protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

struct ConnectionOwner {
  std::uint64_t inode = 0;  // of the socket, as fstat tells it
  std::uint32_t uid = 0;    // the effective one of who made the socket

  friend constexpr bool operator==(const ConnectionOwner&, const ConnectionOwner&) = default;
};

class ConnectionLookup {
 public:
  static std::expected<ConnectionLookup, shm::SystemError> open();

  // Of the end at `local` of the connection to `remote`, which may be still on its way. Nothing: there is none, or no
  // process has it any more, or none has accepted it yet. Takes some microseconds.
  std::expected<std::optional<ConnectionOwner>, shm::SystemError> owner(const shm::PeerAddress& local,
                                                                        const shm::PeerAddress& remote);

 private:
  explicit ConnectionLookup(shm::UniqueFd socket) : socket_(std::move(socket)) {}

  shm::UniqueFd socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace tlsmux::ports
