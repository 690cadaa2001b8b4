#pragma once

// Sockets for the tests of ports. Whatever should work and does not fails the test.

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

struct SocketKind {
  int family = AF_INET;
  int type = SOCK_STREAM;
  bool shares_port = false;    // SO_REUSEPORT
  bool reuses_address = true;  // SO_REUSEADDR, of TCP
  bool is_v6_only = false;
};

shm::UniqueFd make_socket(const SocketKind& kind = {});
// To the wildcard address. The errno, or 0.
int bind_socket(int socket, std::uint16_t port);
int listen_on(int socket);
// Over loopback.
int connect_to(int socket, std::uint16_t port);
int send_to(int socket, std::uint16_t port);

// The same, which must work; port 0 is any.
shm::UniqueFd bound_socket(const SocketKind& kind = {}, std::uint16_t port = 0);
shm::UniqueFd listening_socket(const SocketKind& kind = {}, std::uint16_t port = 0);
shm::UniqueFd connected_socket(const SocketKind& kind, std::uint16_t port);
shm::UniqueFd accepted_socket(int listener);

std::uint16_t local_port(int socket);
std::uint64_t socket_inode(int socket);

// A free port of TCP and UDP in a namespace that is the test's own, and the next ones.
inline constexpr std::uint16_t kFirstPort = 1000;

}  // namespace tlsmux::test
