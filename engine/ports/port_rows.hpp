#pragma once

// How many rows a group's tables of ports have. They are made once, so a refresh of the configuration must do with them.

#include <cstdint>
#include <expected>
#include <string>

#include "config/config.hpp"

namespace tlsmux::engine {

inline constexpr std::uint32_t kSparePortRules = 64;
inline constexpr std::uint32_t kSparePorts = 64;
inline constexpr std::uint32_t kPortDenialRows = 64;

struct PortRows {
  std::uint32_t rules = 0;
  std::uint32_t ports = 0;  // that are not free, of both protocols
};

// What the group can fill, ports that it had before a refresh aside.
PortRows port_rows_needed(const config::GroupSettings& group);

// What its tables are made with: room for twice as many ports, since those that a refresh takes away stay with whoever
// holds them.
PortRows port_rows_made(const config::GroupSettings& group);

// Whether tables that were made so will do for these settings. If not, why, and what to do.
std::expected<void, std::string> check_port_rows(const config::GroupSettings& group, const PortRows& made);

}  // namespace tlsmux::engine
