#pragma once

// What has to be known of a socket before it is bound to a port.

#include <sys/socket.h>

#include <cstdint>
#include <expected>
#include <optional>

#include "ports/protocol.hpp"

namespace tlsmux::client {

struct InetSocket {
  int family = 0;  // AF_INET or AF_INET6
  ports::Protocol protocol{};
  std::uint16_t port = 0;  // 0: not bound yet
};

// EINVAL: it is no TCP or UDP socket; else what the kernel says, as a positive errno.
std::expected<InetSocket, int> inspect(int socket);
// The same for one of its facts: a system call less.
std::expected<ports::Protocol, int> inspect_protocol(int socket);

// An IPv4 or IPv6 address with room for any. Copied, since the caller's may be constant.
class InetAddress {
 public:
  // Nothing: it is too short, too long or neither.
  static std::optional<InetAddress> copy(const sockaddr* address, socklen_t length);
  // Any address of the family.
  static InetAddress any(int family);

  [[nodiscard]] int family() const { return storage_.ss_family; }
  [[nodiscard]] std::uint16_t port() const;
  void set_port(std::uint16_t port);
  [[nodiscard]] const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t length() const { return length_; }

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

// Requires an address that InetAddress::copy takes.
void set_port(sockaddr* address, std::uint16_t port);

}  // namespace tlsmux::client
