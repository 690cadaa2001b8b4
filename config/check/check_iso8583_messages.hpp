#pragma once

// The part of check_iso8583 for messages that the engine makes: sign-on, sign-off, heartbeat, auto replies.

#include <string>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// Requires a loaded field specification and an mti_map of three rows of ten digits.
void check_iso8583_messages(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings);

// For an upstream without a field specification, of which no message can be built.
void check_no_iso8583_messages(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings);

}  // namespace tlsmux::config
