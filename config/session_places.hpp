#pragma once

#include <algorithm>
#include <cstdint>

#include "config/config.hpp"

namespace tlsmux::config {

// As many as an upstream may have under load.
inline std::uint32_t sessions_max(const UpstreamSettings& settings) {
  return std::max(settings.sessions, settings.sessions_max);
}

// The sessions of an upstream that there may be at one time: as many as it may have, and one to try a better endpoint
// while all of them serve.
inline std::uint32_t session_places(const UpstreamSettings& settings) { return sessions_max(settings) + 1; }

// Of tcp.source_ports, for each place: one for its connection, and one for the next while the last one lingers.
inline constexpr std::uint32_t kSourcePortsPerPlace = 2;

}  // namespace tlsmux::config
