#pragma once

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

// Where tlsmuxd could not write what it makes at its start, if who calls this started it. Warnings: it may be started by
// somebody else, and nothing is said where only somebody else can start it. Blocks on the file system and the account
// database.
ConfigErrors find_start_problems(const Config& config);

}  // namespace tlsmux::config
