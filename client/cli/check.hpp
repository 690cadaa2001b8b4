#pragma once

#include <string>

namespace tlsmux::client::cli {

// `tlsmux check`: prints every error of a configuration file, and as warnings each of its ports that a process has which
// may not have it, where the caller could not start tlsmuxd for want of rights, and limits that are too small for a part of each
// group. Returns the exit code, in which warnings do not count.
int run_check(const std::string& path);

}  // namespace tlsmux::client::cli
