#pragma once

// What a group may use, drawn out of its settings.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "ports/book/port_set.hpp"
#include "ports/protocol.hpp"

namespace tlsmux::ports {

struct PortPlan {
  struct StaticPort {
    Port port;
    std::string label;
    std::string program;  // empty: any
  };

  std::string service;                   // the group's name
  std::vector<StaticPort> static_ports;  // in the order of the settings; one for each protocol
  std::array<PortSet, 2> dynamic;        // by protocol; without static ports
  std::uint32_t per_process_max = 0;     // 0: no limit
  std::uint32_t free_min = 0;
  std::uint32_t leases_per_process = 0;
  std::uint64_t reuse_delay_ns = 0;

  // Static or dynamic.
  [[nodiscard]] bool contains(Port port) const;
  [[nodiscard]] PortSet all(Protocol protocol) const;
};

PortPlan make_plan(const config::GroupSettings& group);

}  // namespace tlsmux::ports
