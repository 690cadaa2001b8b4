#pragma once

// The rules about ports: of each group, between groups, and of the upstreams that connect from them.

#include <bitset>
#include <cstddef>
#include <cstdint>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// By number; of one protocol.
using PortBits = std::bitset<65536>;

constexpr bool includes_tcp(PortProtocols protocols) { return protocols != PortProtocols::udp; }
constexpr bool includes_udp(PortProtocols protocols) { return protocols != PortProtocols::tcp; }

// What the group gives out by itself: its ranges without its static ports. PortProtocols::tcp or udp.
PortBits dynamic_ports(const PortSettings& ports, PortProtocols protocol);

void check_ports(const Config& config, Findings& findings);

}  // namespace tlsmux::config
