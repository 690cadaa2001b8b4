#pragma once

// What of the confinement this machine, and the way tlsmuxd is started on it, would put into force.

#include <string>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::engine {

struct SelfTestFinding {
  std::string what;
  bool is_in_force = false;
  std::string words;  // a version, or what is missing and what to do about it
};

// As a broker and then an engine with these settings would be before they serve, but without changing to another user.
// It confines the calling process for good, which has one thread and ends after this; and raises its limits.
std::vector<SelfTestFinding> self_test(const config::Config& config);

}  // namespace tlsmux::engine
