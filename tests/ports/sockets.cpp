#include "tests/ports/sockets.hpp"

#include <netinet/in.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include <doctest/doctest.h>

namespace tlsmux::test {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address make_address(int family, bool is_loopback, std::uint16_t port) {
  Address address;
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(is_loopback ? INADDR_LOOPBACK : INADDR_ANY);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    v6.sin6_addr = is_loopback ? in6addr_loopback : in6addr_any;
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
  }
  return address;
}

int family_of(int socket) {
  int family = 0;
  socklen_t size = sizeof family;
  REQUIRE(::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0);
  return family;
}

void set_option(int socket, int level, int name) {
  const int on = 1;
  REQUIRE(::setsockopt(socket, level, name, &on, sizeof on) == 0);
}

}  // namespace

shm::UniqueFd make_socket(const SocketKind& kind) {
  shm::UniqueFd socket(::socket(kind.family, kind.type | SOCK_CLOEXEC, 0));
  REQUIRE(socket);
  if (kind.reuses_address && kind.type == SOCK_STREAM) set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR);
  if (kind.shares_port) set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT);
  if (kind.is_v6_only) set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  return socket;
}

int bind_socket(int socket, std::uint16_t port) {
  const auto address = make_address(family_of(socket), false, port);
  return ::bind(socket, address.get(), address.size) == 0 ? 0 : errno;
}

int listen_on(int socket) { return ::listen(socket, 16) == 0 ? 0 : errno; }

int connect_to(int socket, std::uint16_t port) {
  const auto address = make_address(family_of(socket), true, port);
  return ::connect(socket, address.get(), address.size) == 0 ? 0 : errno;
}

int send_to(int socket, std::uint16_t port) {
  const auto address = make_address(family_of(socket), true, port);
  return ::sendto(socket, "x", 1, MSG_NOSIGNAL, address.get(), address.size) == 1 ? 0 : errno;
}

shm::UniqueFd bound_socket(const SocketKind& kind, std::uint16_t port) {
  auto socket = make_socket(kind);
  REQUIRE(bind_socket(socket.get(), port) == 0);
  return socket;
}

shm::UniqueFd listening_socket(const SocketKind& kind, std::uint16_t port) {
  auto socket = bound_socket(kind, port);
  REQUIRE(listen_on(socket.get()) == 0);
  return socket;
}

shm::UniqueFd connected_socket(const SocketKind& kind, std::uint16_t port) {
  auto socket = make_socket(kind);
  REQUIRE(connect_to(socket.get(), port) == 0);
  return socket;
}

shm::UniqueFd accepted_socket(int listener) {
  shm::UniqueFd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(socket);
  return socket;
}

std::uint16_t local_port(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  in_port_t port = 0;
  std::memcpy(&port, reinterpret_cast<const char*>(&address) + offsetof(sockaddr_in, sin_port), sizeof port);
  return ntohs(port);
}

std::uint64_t socket_inode(int socket) {
  struct stat status{};
  REQUIRE(::fstat(socket, &status) == 0);
  return status.st_ino;
}

}  // namespace tlsmux::test
