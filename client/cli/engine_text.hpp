#pragma once

// The engine's part of what `tlsmux status` and `tlsmux ports` show of a group.

#include <cstdint>
#include <optional>
#include <string>

#include "client/cli/process_facts.hpp"

namespace tlsmux::client::cli {

inline constexpr std::uint64_t kHeartbeatWorryNs = 3'000'000'000;  // it comes every second at least

struct EngineFacts {
  std::string group;
  bool answers = true;
  std::optional<std::uint32_t> stranger;  // see ObservedGroup
  std::optional<ProcessSight> process;    // when none answers: what has the pid now
  std::uint32_t pid = 0;
  std::string state;
  std::int64_t started_s = 0;
  std::uint64_t heartbeat_age_ns = 0;
};

// For people: a line, and what there is to worry about.
std::string engine_text(const EngineFacts& engine);

}  // namespace tlsmux::client::cli
