#pragma once

// Sockets as the benchmark of ports binds them: of IPv4, to any address.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "ports/protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

// A thousand ports of each way to get one.
struct Thousand {
  static constexpr std::uint16_t kCount = 1000;
  std::uint16_t first = 0;
  [[nodiscard]] std::uint16_t last() const { return static_cast<std::uint16_t>(first + kCount - 1); }
};

inline std::string name_of(ports::Protocol protocol) { return std::string(ports::name(protocol)); }

inline shm::UniqueFd make_socket(ports::Protocol protocol) {
  const int type = protocol == ports::Protocol::tcp ? SOCK_STREAM : SOCK_DGRAM;
  shm::UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  if (!socket) throw std::runtime_error(shm::last_error("making a socket").message);
  return socket;
}

inline sockaddr_in any_address(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  return address;
}

// False: somebody has the port.
inline bool bind_to(const shm::UniqueFd& socket, std::uint16_t port) {
  const auto address = any_address(port);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  if (errno == EADDRINUSE) return false;
  throw std::runtime_error(shm::last_error("binding").message);
}

}  // namespace tlsmux::bench
