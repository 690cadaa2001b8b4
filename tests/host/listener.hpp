#pragma once

#include <expected>
#include <string>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::host {

struct Listener {
  shm::UniqueFd socket;  // non-blocking
  std::string address;   // with the port that the kernel chose, as HOST:PORT or [HOST]:PORT
};

// Listens on a numeric address "127.0.0.1:PORT" or "[::1]:PORT"; port 0 lets the kernel choose.
[[nodiscard]] std::expected<Listener, std::string> listen_on(const std::string& address);

// The other end's address of a connected socket, as HOST:PORT or [HOST]:PORT.
[[nodiscard]] std::string peer_address(int socket);

}  // namespace tlsmux::host
