#pragma once

// The rules for how answers find their requests, but for those of ISO 8583 (check_iso8583).

#include <string>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// `pointer` is the upstream's.
void check_correlation(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings);

}  // namespace tlsmux::config
