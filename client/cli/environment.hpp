#pragma once

#include <string>

namespace tlsmux::client::cli {

// What was given on the command line, else what the environment says, else `otherwise`.
std::string or_environment(const std::string& given, const char* variable, const char* otherwise);

// The same for the path of the control socket.
std::string control_socket_or_usual(const std::string& given);

}  // namespace tlsmux::client::cli
