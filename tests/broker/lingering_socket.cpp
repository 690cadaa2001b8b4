#include "tests/broker/lingering_socket.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <vector>

#include <doctest/doctest.h>

namespace tlsmux::test {
namespace {

constexpr int kLingerSeconds = 600;  // longer than any test waits

}  // namespace

LingeringSocket::LingeringSocket() {
  const shm::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int small = 2048;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const place = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(listener.get(), place, length) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), place, &length) == 0);
  socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(socket_.get(), place, length) == 0);
  other_end_.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const std::vector<char> bytes(65536);
  while (::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) continue;
  const linger lingers{.l_onoff = 1, .l_linger = kLingerSeconds};
  REQUIRE(::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &lingers, sizeof lingers) == 0);
}

}  // namespace tlsmux::test
