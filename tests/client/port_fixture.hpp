// What the tests of ports begin with.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <tlsmux/ports.h>

#include "shm/system/unique_fd.hpp"
#include "tests/client/client_fixture.hpp"

namespace tlsmux::test {

inline shm::UniqueFd new_socket(int type = SOCK_STREAM, int family = AF_INET) {
  shm::UniqueFd socket(::socket(family, type | SOCK_CLOEXEC, 0));
  REQUIRE(socket);
  return socket;
}

inline sockaddr_in loopback(std::uint16_t port = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// 0: not bound.
inline std::uint16_t port_of(int socket) {
  sockaddr_in6 address{};  // the port lies at the same place in both
  socklen_t length = sizeof address;
  REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  return ntohs(address.sin6_port);
}

// A TCP socket of somebody who has never heard of services, on a port that the kernel picked.
inline shm::UniqueFd strangers_listener() {
  auto socket = new_socket();
  const auto address = loopback();
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(socket.get(), 1) == 0);
  return socket;
}

// That nobody has at the moment.
inline std::vector<std::uint16_t> free_ports(std::size_t count) {
  std::vector<shm::UniqueFd> sockets;
  std::vector<std::uint16_t> ports;
  while (ports.size() < count) {
    sockets.push_back(strangers_listener());
    ports.push_back(port_of(sockets.back().get()));
  }
  return ports;
}

// An attached client without channels.
struct PortClient {
  explicit PortClient(const FakeEngineOptions& engine, std::uint32_t timeout_ms = kLongMs, std::uint32_t flags = 0) {
    auto options = attach_options(engine);
    options.timeout_ms = timeout_ms;
    options.flags = flags;
    REQUIRE(tmx_attach(&options, &client) == 0);
  }
  PortClient(const PortClient&) = delete;
  PortClient& operator=(const PortClient&) = delete;
  ~PortClient() { CHECK(tmx_detach(client) == 0); }

  // A port, or a negative errno.
  [[nodiscard]] int claim(const char* port_type = "dynamic", const char* protocol = "tcp") const {
    std::uint16_t port = 0;
    const int error = tmx_client_claim_port(client, protocol, port_type, &port);
    return error != 0 ? error : port;
  }

  tmx_client* client = nullptr;
};

}  // namespace tlsmux::test
