#pragma once

// The calls by which the kernel chooses a socket's port.

#include <array>
#include <cstdint>

#include "shm/system/unique_fd.hpp"
#include "tests/ports/sockets.hpp"

namespace tlsmux::test {

enum class ChoosingCall : std::uint8_t { bind, connect, send, listen };
inline constexpr std::array kChoosingCalls{ChoosingCall::bind, ChoosingCall::connect, ChoosingCall::send,
                                           ChoosingCall::listen};

const char* name(ChoosingCall call);
// sendto chooses for UDP, listen for TCP.
bool fits(ChoosingCall call, const SocketKind& kind);

// `peer` is a port of the loopback, to connect or send to. The errno, or 0.
int choose_port(ChoosingCall call, int socket, std::uint16_t peer);

struct ChosenPort {
  shm::UniqueFd socket;
  int error = 0;  // an errno
  std::uint16_t port = 0;
};

// On a new socket.
ChosenPort choose_port(ChoosingCall call, const SocketKind& kind, std::uint16_t peer);

}  // namespace tlsmux::test
