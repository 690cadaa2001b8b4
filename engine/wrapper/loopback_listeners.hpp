#pragma once

// Where redirected sockets arrive: one port on 127.0.0.1 and, where the machine has IPv6, on ::1.

#include <cstdint>
#include <expected>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::wrapper {

struct LoopbackListeners {
  shm::UniqueFd ipv4;
  shm::UniqueFd ipv6;  // empty: the machine has no ::1
  std::uint16_t port = 0;
  std::uint64_t network_namespace = 0;  // SO_NETNS_COOKIE; 0: the kernel does not tell
};

// Non-blocking. 0: a port that the kernel chooses.
std::expected<LoopbackListeners, shm::SystemError> open_loopback_listeners(std::uint16_t port);

}  // namespace tlsmux::engine::wrapper
