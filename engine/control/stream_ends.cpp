#include "engine/control/stream_ends.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>

#include "engine/wrapper/addresses.hpp"
#include "shm/system/descriptor_refusal.hpp"

namespace tlsmux::engine::control {
namespace {

using Failure = std::unexpected<shm::SystemError>;

constexpr int kBufferBytes = 212'992;  // a UNIX socket's; those of TCP would grow to megabytes

// What is accepted from one is like it.
shm::UniqueFd tcp_socket(int flags = 0) {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!socket) return socket;
  for (const int option : {SO_SNDBUF, SO_RCVBUF}) {
    ::setsockopt(socket.get(), SOL_SOCKET, option, &kBufferBytes, sizeof kBufferBytes);
  }
  return socket;
}

void send_at_once(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Of those that have connected to the listener, the one that is the other end of `socket`: anybody may connect.
shm::UniqueFd accept_from(int listener, int socket) {
  const auto wanted = wrapper::local_address_of(socket);
  while (wanted) {
    shm::UniqueFd accepted(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!accepted) break;
    const auto from = wrapper::remote_address_of(accepted.get());
    if (from && from->port == wanted->port && from->address == wanted->address) return accepted;
  }
  return {};
}

// Nobody waits: on loopback a connection is there when connect() returns, and so it is to be accepted.
std::expected<StreamEnds, shm::SystemError> make_tcp_ends() {
  const auto failed = [] { return Failure(shm::last_error("connecting a stream on 127.0.0.1")); };
  const auto listener = tcp_socket(SOCK_NONBLOCK);
  if (!listener) return failed();
  auto address = wrapper::socket_address(wrapper::loopback(AF_INET, 0));
  const bool listens =
      ::bind(listener.get(), address.get(), address.length) == 0 && ::listen(listener.get(), SOMAXCONN) == 0;
  const auto place = listens ? wrapper::local_address_of(listener.get()) : std::nullopt;
  if (!place) return failed();
  address = wrapper::socket_address(*place);
  StreamEnds ends{.engine = {}, .process = tcp_socket(), .tells_hang_up = false};
  if (!ends.process) return failed();
  if (::connect(ends.process.get(), address.get(), address.length) != 0) return failed();
  ends.engine = accept_from(listener.get(), ends.process.get());
  if (!ends.engine) return failed();
  send_at_once(ends.engine.get());
  send_at_once(ends.process.get());
  return ends;
}

}  // namespace

std::expected<StreamEnds, shm::SystemError> make_stream_ends(bool may_refuse_descriptors) {
  if (!may_refuse_descriptors) return make_tcp_ends();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Failure(shm::last_error("making a socket pair"));
  }
  shm::refuse_descriptors(ends[0]);
  return StreamEnds{.engine = shm::UniqueFd(ends[0]), .process = shm::UniqueFd(ends[1])};
}

}  // namespace tlsmux::engine::control
