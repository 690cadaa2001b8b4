#include "engine/io/tcp_socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

namespace tlsmux::engine::io {
namespace {

bool set(const shm::UniqueFd& socket, int level, int option, int value) {
  return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
}

// 0 leaves what the system has.
bool set_unless_zero(const shm::UniqueFd& socket, int option, std::uint32_t value) {
  return value == 0 || set(socket, IPPROTO_TCP, option, static_cast<int>(value));
}

bool apply(const shm::UniqueFd& socket, const mux::ConnectOptions& options) {
  return set(socket, IPPROTO_TCP, TCP_NODELAY, 1) &&
         set(socket, SOL_SOCKET, SO_KEEPALIVE, options.keepalive_idle_s != 0 ? 1 : 0) &&
         set_unless_zero(socket, TCP_KEEPIDLE, options.keepalive_idle_s) &&
         set_unless_zero(socket, TCP_KEEPINTVL, options.keepalive_interval_s) &&
         set_unless_zero(socket, TCP_KEEPCNT, options.keepalive_count) &&
         set_unless_zero(socket, TCP_USER_TIMEOUT, options.user_timeout_ms);
}

bool bind_to(const shm::UniqueFd& socket, const mux::Address& source) {
  sockaddr_storage storage{};
  const auto bytes = fill_address(source, storage);
  // A port of ours comes back while its last connection lingers in TIME_WAIT. Without one, connect chooses it, so that
  // it need only be free towards that host.
  const bool is_ready =
      source.port != 0 ? set(socket, SOL_SOCKET, SO_REUSEADDR, 1) : set(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  return is_ready && ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) == 0;
}

}  // namespace

socklen_t fill_address(const mux::Address& from, sockaddr_storage& storage) {
  if (from.family == mux::AddressFamily::ipv4) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(from.port);
    std::memcpy(&to.sin_addr, from.bytes.data(), sizeof to.sin_addr);
    std::memcpy(&storage, &to, sizeof to);
    return sizeof to;
  }
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(from.port);
  to.sin6_scope_id = from.scope;
  std::memcpy(&to.sin6_addr, from.bytes.data(), sizeof to.sin6_addr);
  std::memcpy(&storage, &to, sizeof to);
  return sizeof to;
}

std::expected<shm::UniqueFd, int> open_socket(mux::AddressFamily family, const mux::ConnectOptions& options) {
  const int domain = family == mux::AddressFamily::ipv4 ? AF_INET : AF_INET6;
  shm::UniqueFd socket(::socket(domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!socket || !apply(socket, options)) return std::unexpected(errno);
  if (options.source && !bind_to(socket, *options.source)) return std::unexpected(errno);
  return socket;
}

}  // namespace tlsmux::engine::io
