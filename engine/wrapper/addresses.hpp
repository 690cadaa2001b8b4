#pragma once

// TCP addresses of sockets, as the control protocol writes them.

#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "shm/control_protocol.hpp"

namespace tlsmux::engine::wrapper {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
};

// IPv4 for what is IPv4-mapped.
SocketAddress socket_address(const shm::PeerAddress& address);

// Nothing: it is not TCP over IP, or not connected.
std::optional<shm::PeerAddress> local_address_of(int socket);
std::optional<shm::PeerAddress> remote_address_of(int socket);

bool is_ipv4(const shm::PeerAddress& address);
// 127.0.0.1 or ::1, of the same family as `other`.
shm::PeerAddress loopback_like(const shm::PeerAddress& other, std::uint16_t port);
shm::PeerAddress loopback(int family, std::uint16_t port);

}  // namespace tlsmux::engine::wrapper
