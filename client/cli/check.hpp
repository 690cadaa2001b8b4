#pragma once

#include <string>

namespace tlsmux::client::cli {

// `tlsmux check`: prints every error of a configuration file. Returns the exit code.
int run_check(const std::string& path);

}  // namespace tlsmux::client::cli
