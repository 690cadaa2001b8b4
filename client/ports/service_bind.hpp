#pragma once

// Claiming and binding in one: a port that cannot be bound is given back.

#include <cstdint>
#include <expected>

#include "client/ports/client_ports.hpp"
#include "client/ports/inet_socket.hpp"

namespace tlsmux::client {

// Binds the socket to the address with a port of the group; the address's own port is not read. Of dynamic ports the next
// one is tried when somebody has it who never claimed it, ten at the most. Sets SO_REUSEADDR on TCP sockets, once there is a
// port. Returns the port, or a positive errno of ClientPorts::claim or bind(2).
// Requires that `inspect` said so of the socket, not bound yet, and that the address is of its family.
std::expected<std::uint16_t, int> bind_to_service(ClientPorts& ports, int socket, const InetSocket& inspected,
                                                  InetAddress address, const PortType& type);

// The same for the port that the address names; sets no SO_REUSEADDR.
std::expected<std::uint16_t, int> bind_to_number(ClientPorts& ports, int socket, const InetSocket& inspected,
                                                 const InetAddress& address);

}  // namespace tlsmux::client
