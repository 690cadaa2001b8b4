#pragma once

// What of the confinement this machine, and the way tlsmuxd is started on it, would put into force.

#include <functional>
#include <string>

#include "config/config.hpp"

namespace tlsmux::engine {

// Of `tlsmuxd --selftest` when something is not in force, with which tlsmuxd may start all the same.
inline constexpr int kExitNotInForce = 5;

struct SelfTestFinding {
  std::string what;
  bool is_in_force = false;
  std::string words;  // a version, or what is missing and what to do about it
};

// As a broker and then an engine with these settings would be before they serve: `report` is called with each finding as
// soon as there is one. It confines the calling process for good and makes it the engine's user; it has one thread, and
// ends after this. Raises its limits.
void self_test(const config::Config& config, const std::function<void(const SelfTestFinding&)>& report);

}  // namespace tlsmux::engine
