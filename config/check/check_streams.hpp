#pragma once

// The rules for streams, and for upstreams that have nothing else: those whose framing cuts no messages.

#include <string>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// `pointer` is the upstream's.
void check_streams(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings);

}  // namespace tlsmux::config
