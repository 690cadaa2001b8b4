#pragma once

// Which sockets hold ports, by the kernel's own word: NETLINK_SOCK_DIAG (sock_diag(7), linux/inet_diag.h), of the network
// namespace that the process is in. Needs no privilege.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "ports/book/port_set.hpp"
#include "ports/protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

struct SocketFact {
  Port port;
  bool is_ipv6 = false;
  bool is_listening = false;
  // A connection that no process has any more and that lingers, in TIME_WAIT or before. Then uid and inode are 0.
  bool is_time_wait = false;
  std::uint32_t uid = 0;
  std::uint64_t inode = 0;
};

class SocketDiagnosis {
 public:
  static std::expected<SocketDiagnosis, shm::SystemError> open();

  // Sockets of IPv4 and IPv6 with a local port in the set: in all states, those that are bound and neither listen nor
  // are connected included (see sees_bound_sockets()). The kernel filters. Connections that nobody has accepted yet are
  // their listener's, and not told. Blocks for a quarter of a millisecond, and half a microsecond for each socket there is.
  std::expected<std::vector<SocketFact>, shm::SystemError> sockets(Protocol protocol, const PortSet& ports);

  // Whether TCP sockets that are only bound are among them: INET_DIAG's BOUND_INACTIVE, Linux 6.8. Where they are not, a
  // port that is told by nobody may still be held.
  [[nodiscard]] bool sees_bound_sockets() const { return sees_bound_sockets_; }

 private:
  explicit SocketDiagnosis(shm::UniqueFd socket) : socket_(std::move(socket)) {}
  std::expected<void, shm::SystemError> send(std::span<const std::byte> request);
  // Adds what the kernel answers. False: it changed meanwhile, and the answer may lack some.
  std::expected<bool, shm::SystemError> receive(Protocol protocol, const PortSet& ports,
                                                std::vector<SocketFact>& facts);
  std::expected<bool, shm::SystemError> sees_own_bound_socket();

  shm::UniqueFd socket_;
  std::vector<std::byte> answer_;
  std::uint32_t sequence_ = 0;
  bool sees_bound_sockets_ = false;
};

}  // namespace tlsmux::ports
