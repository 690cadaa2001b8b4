#include "engine/wrapper/loopback_listeners.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "engine/wrapper/addresses.hpp"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace tlsmux::engine::wrapper {
namespace {

constexpr int kBacklog = 512;
constexpr int kTriesMax = 16;  // to find a port that is free in both families

std::expected<shm::UniqueFd, shm::SystemError> listen_on(int family, std::uint16_t port) {
  const std::string place = (family == AF_INET ? "127.0.0.1:" : "[::1]:") + std::to_string(port);
  shm::UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return std::unexpected(shm::last_error("making a socket for " + place));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const auto address = socket_address(loopback(family, port));
  if (::bind(socket.get(), address.get(), address.length) != 0 || ::listen(socket.get(), kBacklog) != 0) {
    auto error = shm::last_error("listening on " + place);
    if (error.code == EACCES) {
      error.message +=
          "; ports below net.ipv4.ip_unprivileged_port_start are root's: give ssl_wrapper.listener_port another";
    }
    return std::unexpected(std::move(error));
  }
  return socket;
}

bool has_no_ipv6(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL; }

std::uint64_t network_namespace_of(int socket) {
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  return ::getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

}  // namespace

std::expected<LoopbackListeners, shm::SystemError> open_loopback_listeners(std::uint16_t port) {
  for (int tries = 1;; ++tries) {
    auto ipv4 = listen_on(AF_INET, port);
    if (!ipv4) return std::unexpected(ipv4.error());
    const auto local = local_address_of(ipv4->get());
    if (!local) return std::unexpected(shm::last_error("asking for a listener's address"));
    auto ipv6 = listen_on(AF_INET6, local->port);
    if (!ipv6 && !has_no_ipv6(ipv6.error().code)) {
      const bool may_try_again = port == 0 && ipv6.error().code == EADDRINUSE && tries < kTriesMax;
      if (may_try_again) continue;
      return std::unexpected(ipv6.error());
    }
    const auto network_namespace = network_namespace_of(ipv4->get());
    return LoopbackListeners{.ipv4 = std::move(*ipv4),
                             .ipv6 = ipv6 ? std::move(*ipv6) : shm::UniqueFd(),
                             .port = local->port,
                             .network_namespace = network_namespace};
  }
}

}  // namespace tlsmux::engine::wrapper
