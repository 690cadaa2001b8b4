#include "tests/wrapper/loopback_listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <csignal>
#include <stdexcept>

namespace tlsmux::test {

LoopbackListener::LoopbackListener(int family, std::uint16_t port)
    : socket_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in6 address_6{};
  address_6.sin6_family = AF_INET6;
  address_6.sin6_port = htons(port);
  address_6.sin6_addr = in6addr_loopback;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Also where connections of an earlier listener have ended a moment ago; but what the kernel chooses is nobody else's.
  const int on = 1;
  const auto may_share_port = [&] { ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); };
  if (port != 0) may_share_port();
  auto* const name =
      family == AF_INET ? reinterpret_cast<sockaddr*>(&address) : reinterpret_cast<sockaddr*>(&address_6);
  socklen_t length = family == AF_INET ? sizeof address : sizeof address_6;
  if (::bind(socket_.get(), name, length) != 0 || ::listen(socket_.get(), 64) != 0 ||
      ::getsockname(socket_.get(), name, &length) != 0) {
    throw std::runtime_error("cannot listen on loopback");
  }
  may_share_port();  // for its connections
  port_ = ntohs(family == AF_INET ? address.sin_port : address_6.sin6_port);
}

shm::UniqueFd LoopbackListener::accept() const {
  return shm::UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
}

void LoopbackListener::stop() const { ::shutdown(socket_.get(), SHUT_RDWR); }

std::uint16_t remote_port(int socket) {
  sockaddr_in6 address{};
  socklen_t length = sizeof address;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.sin6_port);  // at the same place as sin_port
}

void reset_on_close(int socket) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void send_at_once(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void block_sigpipe() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace tlsmux::test
