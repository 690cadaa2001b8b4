#include "client/cli/environment.hpp"

#include <cstdlib>

namespace tlsmux::client::cli {

std::string or_environment(const std::string& given, const char* variable, const char* otherwise) {
  if (!given.empty()) return given;
  const char* value = ::secure_getenv(variable);
  return value != nullptr ? value : otherwise;
}

std::string control_socket_or_usual(const std::string& given) {
  return or_environment(given, "TLSMUX_CONTROL_SOCKET", "/run/tlsmux/control.sock");
}

}  // namespace tlsmux::client::cli
