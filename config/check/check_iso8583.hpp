#pragma once

// The rules for what an upstream says of ISO 8583: correlation, messages that the engine makes, auto replies.

#include <string>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// `pointer` is the upstream's. Where correlation is not by ISO 8583, only looks for messages that would need a
// specification. Judges fields only where `fields` is loaded.
void check_iso8583(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings);

}  // namespace tlsmux::config
