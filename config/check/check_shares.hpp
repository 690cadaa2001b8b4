#pragma once

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

// Limits that several groups share and that are too small for a part of each: half, divided by their number, rounded down.
// Warnings: it may be meant so.
ConfigErrors find_shares_of_none(const Config& config);

}  // namespace tlsmux::config
