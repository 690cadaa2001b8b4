#include "client/ports/inet_socket.hpp"

#include <netinet/in.h>

#include <cerrno>
#include <cstring>

namespace tlsmux::client {
namespace {

// Of an IPv4 or IPv6 socket; its type follows from it.
std::optional<ports::Protocol> protocol_of(int number) {
  if (number == IPPROTO_TCP || number == IPPROTO_MPTCP) return ports::Protocol::tcp;
  if (number == IPPROTO_UDP) return ports::Protocol::udp;
  return std::nullopt;
}

}  // namespace

std::expected<InetSocket, int> inspect(int socket) {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &length) != 0) return std::unexpected(errno);
  const auto address = InetAddress::copy(reinterpret_cast<const sockaddr*>(&name), length);
  if (!address) return std::unexpected(EINVAL);

  const auto protocol = inspect_protocol(socket);
  if (!protocol) return std::unexpected(protocol.error());
  return InetSocket{.family = address->family(), .protocol = *protocol, .port = address->port()};
}

std::expected<ports::Protocol, int> inspect_protocol(int socket) {
  int number = 0;
  socklen_t length = sizeof number;
  if (::getsockopt(socket, SOL_SOCKET, SO_PROTOCOL, &number, &length) != 0) return std::unexpected(errno);
  const auto protocol = protocol_of(number);
  return protocol ? std::expected<ports::Protocol, int>(*protocol) : std::unexpected(EINVAL);
}

std::optional<InetAddress> InetAddress::copy(const sockaddr* address, socklen_t length) {
  if (address == nullptr || length < sizeof(sa_family_t) || length > sizeof(sockaddr_storage)) return std::nullopt;
  InetAddress copied;
  std::memcpy(&copied.storage_, address, length);
  copied.length_ = length;
  const bool is_whole = (copied.family() == AF_INET && length >= sizeof(sockaddr_in)) ||
                        (copied.family() == AF_INET6 && length >= sizeof(sockaddr_in6));
  return is_whole ? std::optional(copied) : std::nullopt;
}

InetAddress InetAddress::any(int family) {
  InetAddress address;
  address.storage_.ss_family = static_cast<sa_family_t>(family);
  address.length_ = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  return address;
}

std::uint16_t InetAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
  return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port);
}

void InetAddress::set_port(std::uint16_t port) { client::set_port(reinterpret_cast<sockaddr*>(&storage_), port); }

void set_port(sockaddr* address, std::uint16_t port) {
  const auto number = htons(port);
  // Not through the struct: the caller's address may lie anywhere.
  const auto offset =
      address->sa_family == AF_INET ? offsetof(sockaddr_in, sin_port) : offsetof(sockaddr_in6, sin6_port);
  std::memcpy(reinterpret_cast<std::byte*>(address) + offset, &number, sizeof number);
}

}  // namespace tlsmux::client
