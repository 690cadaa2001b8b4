// Sockets to hosts, as the kernel sees them before they are connected.
#include "engine/io/tcp_socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <doctest/doctest.h>

#include <cerrno>

using namespace tlsmux;
using engine::io::open_socket;
using engine::mux::AddressFamily;
using engine::mux::ConnectOptions;
using engine::mux::parse_literal;

namespace {

int option(const shm::UniqueFd& socket, int level, int name) {
  int value = -1;
  socklen_t bytes = sizeof value;
  REQUIRE(::getsockopt(socket.get(), level, name, &value, &bytes) == 0);
  return value;
}

}  // namespace

TEST_CASE("engine.a socket has the keepalive and user time-out that were asked for") {
  const auto socket = open_socket(
      AddressFamily::ipv4,
      {.source = {}, .keepalive_idle_s = 7, .keepalive_interval_s = 3, .keepalive_count = 2, .user_timeout_ms = 9000});
  REQUIRE(socket);
  CHECK(option(*socket, SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(option(*socket, IPPROTO_TCP, TCP_KEEPIDLE) == 7);
  CHECK(option(*socket, IPPROTO_TCP, TCP_KEEPINTVL) == 3);
  CHECK(option(*socket, IPPROTO_TCP, TCP_KEEPCNT) == 2);
  CHECK(option(*socket, IPPROTO_TCP, TCP_USER_TIMEOUT) == 9000);
  CHECK(option(*socket, IPPROTO_TCP, TCP_NODELAY) == 1);
}

TEST_CASE("engine.a socket without options is as the system makes it") {
  const auto socket = open_socket(AddressFamily::ipv4, {});
  REQUIRE(socket);
  CHECK(option(*socket, SOL_SOCKET, SO_KEEPALIVE) == 0);
  CHECK(option(*socket, IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
}

TEST_CASE("engine.a socket is bound to its source address, and the port is left to connect") {
  const auto socket = open_socket(AddressFamily::ipv4, {.source = parse_literal("127.0.0.9", 0)});
  REQUIRE(socket);
  sockaddr_in own{};
  socklen_t bytes = sizeof own;
  REQUIRE(::getsockname(socket->get(), reinterpret_cast<sockaddr*>(&own), &bytes) == 0);
  CHECK(own.sin_addr.s_addr == htonl(0x7f000009));
  CHECK(own.sin_port == 0);
}

TEST_CASE("engine.a socket has its source port, also one that lingers") {
  // Any port that is free now.
  const auto any = open_socket(AddressFamily::ipv4, {.source = parse_literal("127.0.0.1", 0)});
  REQUIRE(any);
  REQUIRE(::listen(any->get(), 1) == 0);
  sockaddr_in host{};
  socklen_t bytes = sizeof host;
  REQUIRE(::getsockname(any->get(), reinterpret_cast<sockaddr*>(&host), &bytes) == 0);

  auto first = open_socket(AddressFamily::ipv4, {.source = parse_literal("0.0.0.0", 0)});
  REQUIRE(first);
  REQUIRE(::connect(first->get(), reinterpret_cast<const sockaddr*>(&host), sizeof host) == 0);
  sockaddr_in own{};
  REQUIRE(::getsockname(first->get(), reinterpret_cast<sockaddr*>(&own), &bytes) == 0);
  const auto port = ntohs(own.sin_port);
  first->reset();

  for (int i = 0; i < 2; ++i) {
    const auto again = open_socket(AddressFamily::ipv4, {.source = parse_literal("0.0.0.0", port)});
    if (!again) {
      // The first of ours lingers without SO_REUSEADDR, or another program has the port.
      CHECK(again.error() == EADDRINUSE);
      return;
    }
    REQUIRE(::getsockname(again->get(), reinterpret_cast<sockaddr*>(&own), &bytes) == 0);
    CHECK(ntohs(own.sin_port) == port);
    CHECK(option(*again, SOL_SOCKET, SO_REUSEADDR) == 1);
  }
}

TEST_CASE("engine.a source address that is not ours is refused") {
  // RFC 5737: of no machine.
  const auto socket = open_socket(AddressFamily::ipv4, {.source = parse_literal("192.0.2.1", 0)});
  REQUIRE_FALSE(socket);
  CHECK(socket.error() == EADDRNOTAVAIL);
}
