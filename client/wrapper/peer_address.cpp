#include "client/wrapper/peer_address.hpp"

#include <algorithm>
#include <cstring>

#include "client/wrapper/next_socket_calls.hpp"

namespace tlsmux::wrapper {
namespace {

using client::InetAddress;

template <typename Address>
Address read_as(const InetAddress& address) {
  Address read;
  std::memcpy(&read, address.data(), sizeof read);
  return read;
}

template <typename Address>
InetAddress made_of(const Address& address) {
  // Never nothing: it is whole.
  return InetAddress::copy(reinterpret_cast<const sockaddr*>(&address), sizeof address).value();
}

}  // namespace

shm::PeerAddress peer_address(const InetAddress& address) {
  shm::PeerAddress peer;
  peer.port = address.port();
  if (address.family() == AF_INET6) {
    const auto from = read_as<sockaddr_in6>(address);
    std::memcpy(peer.address.data(), &from.sin6_addr, sizeof from.sin6_addr);
  } else {
    const auto from = read_as<sockaddr_in>(address);
    peer.address[10] = peer.address[11] = 0xff;
    std::memcpy(peer.address.data() + 12, &from.sin_addr, sizeof from.sin_addr);
  }
  return peer;
}

InetAddress loopback_like(const InetAddress& like, std::uint16_t port) {
  if (like.family() == AF_INET) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return made_of(to);
  }
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(port);
  to.sin6_addr = in6addr_loopback;
  const auto peer = peer_address(like);
  constexpr std::array<std::uint8_t, 16> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1};
  if (std::equal(kMapped.begin(), kMapped.begin() + 12, peer.address.begin())) {
    std::memcpy(&to.sin6_addr, kMapped.data(), kMapped.size());
  }
  return made_of(to);
}

std::optional<InetAddress> local_address(int socket) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &length) != 0) return std::nullopt;
  return InetAddress::copy(reinterpret_cast<const sockaddr*>(&name), length);
}

std::optional<InetAddress> remote_address(int socket) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (next.getpeername(socket, reinterpret_cast<sockaddr*>(&name), &length) != 0) return std::nullopt;
  return InetAddress::copy(reinterpret_cast<const sockaddr*>(&name), length);
}

}  // namespace tlsmux::wrapper
