#pragma once

#include <string>

namespace tlsmux::client::cli {

// `tlsmux ports apply`: puts the reservation and the guard of a configuration in place while no tlsmuxd runs, such as
// when the machine starts, and prints what is in force for each group. Returns the exit code.
int run_ports_apply(const std::string& path);

}  // namespace tlsmux::client::cli
