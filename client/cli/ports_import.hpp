#pragma once

#include <string>

namespace tlsmux::client::cli {

// `tlsmux ports import`: prints the groups of a services file (ports/services/services_file.hpp) as JSON for a configuration.
// Returns the exit code.
int run_ports_import(const std::string& path);

// `tlsmux ports export`: prints members and ports of a configuration's groups as a services file. Returns the exit code.
int run_ports_export(const std::string& path);

}  // namespace tlsmux::client::cli
