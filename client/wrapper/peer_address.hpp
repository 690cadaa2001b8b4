#pragma once

// Addresses of TCP sockets, as the control protocol has them and as the kernel has.

#include <netinet/in.h>

#include <optional>

#include "client/ports/inet_socket.hpp"
#include "shm/control_protocol.hpp"

namespace tlsmux::wrapper {

shm::PeerAddress peer_address(const client::InetAddress& address);

// Of the same family and form as `like`: 127.0.0.1, ::ffff:127.0.0.1 or ::1.
client::InetAddress loopback_like(const client::InetAddress& like, std::uint16_t port);

std::optional<client::InetAddress> local_address(int socket);
// The kernel's word, also of a socket that is redirected.
std::optional<client::InetAddress> remote_address(int socket);

}  // namespace tlsmux::wrapper
