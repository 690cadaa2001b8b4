#pragma once

// The rules that compare a framing's settings with each other.

#include <string>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// `pointer` is where the framing stands, such as "/upstreams/0/framing". Those that cut no messages are check_streams'.
void check_framing(const FramingSettings& framing, const std::string& pointer, Findings& findings);

// The engine copies each message of a delimited framing before it searches it.
void check_private_copies(const EngineSettings& engine, const FramingSettings& framing, const std::string& pointer,
                          Findings& findings);

}  // namespace tlsmux::config
