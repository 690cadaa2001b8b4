#pragma once

// Ways of a process to have a socket bound to a port, when most of them are taken.

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bench/ports/port_client.hpp"
#include "bench/ports/port_lab.hpp"
#include "ports/protocol.hpp"

namespace tlsmux::bench {

struct PortWay {
  std::string name;
  // Once: ns from an unbound socket to a bound one. All is as before when it returns. Throws std::runtime_error.
  std::function<std::uint64_t()> bind;
};

// The lab outlives them.
std::vector<PortWay> port_ways(const PortLab& lab, ports::Protocol protocol);
// Why the kernel's own pick is not among them; empty if it is.
std::string kernel_pick_obstacle();

}  // namespace tlsmux::bench
