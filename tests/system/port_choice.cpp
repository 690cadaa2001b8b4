#include "tests/system/port_choice.hpp"

#include <cstddef>

namespace tlsmux::test {

const char* name(ChoosingCall call) {
  constexpr std::array kNames{"bind to 0", "connect", "sendto", "listen without bind"};
  return kNames[static_cast<std::size_t>(call)];
}

bool fits(ChoosingCall call, const SocketKind& kind) {
  if (call == ChoosingCall::send) return kind.type == SOCK_DGRAM;
  return call != ChoosingCall::listen || kind.type == SOCK_STREAM;
}

int choose_port(ChoosingCall call, int socket, std::uint16_t peer) {
  switch (call) {
    case ChoosingCall::bind: return bind_socket(socket, 0);
    case ChoosingCall::connect: return connect_to(socket, peer);
    case ChoosingCall::send: return send_to(socket, peer);
    case ChoosingCall::listen: return listen_on(socket);
  }
  return -1;
}

ChosenPort choose_port(ChoosingCall call, const SocketKind& kind, std::uint16_t peer) {
  ChosenPort chosen{.socket = make_socket(kind)};
  chosen.error = choose_port(call, chosen.socket.get(), peer);
  if (chosen.error == 0) chosen.port = local_port(chosen.socket.get());
  return chosen;
}

}  // namespace tlsmux::test
