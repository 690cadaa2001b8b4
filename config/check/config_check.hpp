#pragma once

// Whether the settings go together. What passes here, an engine on any machine can build on; what depends on
// this machine (files, users) is config_file's.

#include <span>

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

// Every rule: the values one by one, then against each other. Empty: all is well.
ConfigErrors check(const Config& config);

// The same, without what merely follows from errors that were found before, as by parse_partially.
ConfigErrors check(const Config& config, std::span<const ConfigError> earlier);

}  // namespace tlsmux::config
