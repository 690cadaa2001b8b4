#include "engine/wrapper/addresses.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace tlsmux::engine::wrapper {
namespace {

constexpr std::size_t kIpv4At = 12;

std::optional<shm::PeerAddress> read_address(const sockaddr_storage& storage) {
  shm::PeerAddress address;
  if (storage.ss_family == AF_INET) {
    sockaddr_in from{};
    std::memcpy(&from, &storage, sizeof from);
    address = loopback(AF_INET, ntohs(from.sin_port));
    std::memcpy(address.address.data() + kIpv4At, &from.sin_addr, sizeof from.sin_addr);
    return address;
  }
  if (storage.ss_family != AF_INET6) return std::nullopt;
  sockaddr_in6 from{};
  std::memcpy(&from, &storage, sizeof from);
  address.port = ntohs(from.sin6_port);
  std::memcpy(address.address.data(), &from.sin6_addr, sizeof from.sin6_addr);
  return address;
}

}  // namespace

SocketAddress socket_address(const shm::PeerAddress& address) {
  SocketAddress result;
  if (is_ipv4(address)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(address.port);
    std::memcpy(&to.sin_addr, address.address.data() + kIpv4At, sizeof to.sin_addr);
    std::memcpy(&result.storage, &to, sizeof to);
    result.length = sizeof to;
  } else {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(address.port);
    std::memcpy(&to.sin6_addr, address.address.data(), sizeof to.sin6_addr);
    std::memcpy(&result.storage, &to, sizeof to);
    result.length = sizeof to;
  }
  return result;
}

std::optional<shm::PeerAddress> local_address_of(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return std::nullopt;
  return read_address(storage);
}

std::optional<shm::PeerAddress> remote_address_of(int socket) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return std::nullopt;
  return read_address(storage);
}

bool is_ipv4(const shm::PeerAddress& address) {
  constexpr std::array<std::uint8_t, kIpv4At> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), address.address.begin());
}

shm::PeerAddress loopback(int family, std::uint16_t port) {
  if (family == AF_INET) return {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}, .port = port};
  return {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, .port = port};
}

shm::PeerAddress loopback_like(const shm::PeerAddress& other, std::uint16_t port) {
  return loopback(is_ipv4(other) ? AF_INET : AF_INET6, port);
}

}  // namespace tlsmux::engine::wrapper
