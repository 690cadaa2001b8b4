#pragma once

// The rules for how many sessions and waiting requests an upstream has, and for what the engine does to keep its
// sessions alive.

#include <string>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// `pointer` is the upstream's.
void check_session_life(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings);

// For upstreams that have requests: those whose framing cuts messages.
void check_requests(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings);

}  // namespace tlsmux::config
