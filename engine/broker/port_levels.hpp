#pragma once

// How a group's ports are kept from others, as the broker has it in place.

#include <cstdint>
#include <string>
#include <vector>

#include "shm/layout.hpp"

namespace tlsmux::engine::broker {

struct PortLevel {
  shm::PortEnforcement state{};
  std::string text{};  // what is missing
};

struct PortLevels {
  PortLevel reservation;
  PortLevel holders;
  PortLevel guard;
  // Sockets of the broker's that hold ports of the group, ascending. If there are any, members bind with SO_REUSEPORT.
  std::vector<std::uint64_t> holder_sockets;
};

}  // namespace tlsmux::engine::broker
