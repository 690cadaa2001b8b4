#pragma once

// Configuration files: reading one, and checking what it refers to on this machine. All of it blocks on the
// file system, and check_files and find_errors on the account database too.

#include <expected>
#include <string>

#include "config/config.hpp"
#include "config/config_bundle.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

// The file at `path`, read, parsed and checked (config_bundle, config_json, config_check), with every error.
std::expected<Config, ConfigErrors> load(const std::string& path);

// Whether the files, users and Unix groups that the settings name exist on this machine and can be used, by
// the user that calls this. Empty: all is well.
ConfigErrors check_files(const Config& config);

// Every error at once: those of load_bundle() and of check_files(). For `tlsmux check` and the start of tlsmuxd.
ConfigErrors find_errors(const ConfigBundle& bundle);

// The same for the file at `path`.
ConfigErrors find_errors(const std::string& path);

}  // namespace tlsmux::config
