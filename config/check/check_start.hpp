#pragma once

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

// What would fail at the start of tlsmuxd, if who calls this started it: where it could not write what it makes, or that only
// somebody else can start it at all. Warnings: somebody else may do so. Blocks on the file system and the account database.
ConfigErrors find_start_problems(const Config& config);

}  // namespace tlsmux::config
