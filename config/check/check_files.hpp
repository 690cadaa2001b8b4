#pragma once

// Whether what the settings refer to exists on this machine.

#include <span>
#include <string>

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

// Files, folders, users and Unix groups, without what merely follows from `earlier` errors. Blocks on the
// file system and the account database.
ConfigErrors check_files(const Config& config, std::span<const ConfigError> earlier);

// Whether it is a regular file, and others than root and the user that calls this may not change it. Empty: so it is, or there is
// nothing of this name.
ConfigErrors check_config_file(const std::string& path);

}  // namespace tlsmux::config
