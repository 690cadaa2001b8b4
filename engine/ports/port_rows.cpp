#include "engine/ports/port_rows.hpp"

#include <algorithm>
#include <bit>

#include "ports/protocol.hpp"

namespace tlsmux::engine {
namespace {

std::uint32_t protocols_in(config::PortProtocols protocols) {
  return static_cast<std::uint32_t>(std::popcount(ports::bits_of(protocols)));
}

std::string too_few(const config::GroupSettings& group, const char* of_what, std::uint32_t made, std::uint32_t needed) {
  return "group " + group.name + ": its tables have room for " + std::to_string(made) + " " + of_what +
         ", the new configuration needs " + std::to_string(needed) + "; restart tlsmuxd";
}

}  // namespace

PortRows port_rows_needed(const config::GroupSettings& group) {
  PortRows rows;
  rows.rules = static_cast<std::uint32_t>(group.users.size() + group.unix_groups.size() +
                                          group.ports.static_ports.size() + group.ports.dynamic.size());
  for (const auto& port : group.ports.static_ports) rows.ports += protocols_in(port.protocol);
  for (const auto& range : group.ports.dynamic) {
    if (range.to >= range.from) rows.ports += (range.to - range.from + 1U) * protocols_in(range.protocols);
  }
  return rows;
}

PortRows port_rows_made(const config::GroupSettings& group) {
  const auto needed = port_rows_needed(group);
  return {.rules = needed.rules + kSparePortRules,
          .ports = std::min(2 * needed.ports + kSparePorts, 2 * config::kPortsPerGroupMax)};
}

std::expected<void, std::string> check_port_rows(const config::GroupSettings& group, const PortRows& made) {
  const auto needed = port_rows_needed(group);
  if (needed.rules > made.rules) {
    return std::unexpected(too_few(group, "users, Unix groups, static ports and ranges", made.rules, needed.rules));
  }
  if (needed.ports > made.ports) return std::unexpected(too_few(group, "ports", made.ports, needed.ports));
  return {};
}

}  // namespace tlsmux::engine
