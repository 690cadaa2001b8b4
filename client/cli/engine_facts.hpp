#pragma once

// What a group's tables say of the engine that wrote them, as plain values: escape the texts before a terminal.

#include <cstdint>
#include <optional>
#include <string>

#include "client/cli/observe.hpp"
#include "client/cli/process_facts.hpp"

namespace tlsmux::client::cli {

struct EngineFacts {
  std::string group;
  bool answers = true;
  std::optional<std::uint32_t> stranger = {};  // see ObservedGroup
  std::string stranger_name = {};              // empty: none is known
  std::optional<ProcessSight> process = {};    // the same
  std::uint32_t pid = 0;
  std::string state = {};
  std::int64_t started_s = 0;
  std::uint32_t restarts = 0;  // since tlsmuxd was started
  std::uint64_t heartbeat_age_ns = 0;
};

// `now_ns` is CLOCK_MONOTONIC.
EngineFacts engine_facts(const ObservedGroup& observed, std::uint64_t now_ns);

}  // namespace tlsmux::client::cli
