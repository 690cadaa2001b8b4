#pragma once

// The rules that compare an upstream's settings with each other and with its groups.

#include <cstddef>

#include "config/check/findings.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

void check_upstream(const Config& config, std::size_t index, Findings& findings);

}  // namespace tlsmux::config
