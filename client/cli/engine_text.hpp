#pragma once

// The engine's part of what `tlsmux status` and `tlsmux ports` show of a group.

#include <cstdint>
#include <string>

#include "client/cli/engine_facts.hpp"

namespace tlsmux::client::cli {

inline constexpr std::uint64_t kHeartbeatWorryNs = 3'000'000'000;  // it comes every second at least

// For people: a line, and what there is to worry about.
std::string engine_text(const EngineFacts& engine);

}  // namespace tlsmux::client::cli
