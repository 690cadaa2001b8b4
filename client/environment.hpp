#pragma once

#include <cstdlib>
#include <string>

namespace tlsmux::client {

inline constexpr const char* kControlSocketDefault = "/run/tlsmux/control.sock";

// A program with raised privileges must not be led by its caller's environment: secure_getenv.
inline std::string or_environment(const char* given, const char* variable, const char* otherwise) {
  if (given != nullptr) return given;
  const char* value = ::secure_getenv(variable);
  return value != nullptr ? value : otherwise;
}

}  // namespace tlsmux::client
