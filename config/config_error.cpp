#include "config/config_error.hpp"

namespace tlsmux::config {

std::string format_errors(std::string_view path, std::span<const ConfigError> errors) {
  std::string text;
  for (const ConfigError& error : errors) {
    text += path;
    if (error.line != 0) text += ":" + std::to_string(error.line) + ":" + std::to_string(error.column);
    text += ": ";
    if (!error.pointer.empty()) text += error.pointer + ": ";
    text += error.message + "\n";
  }
  return text;
}

}  // namespace tlsmux::config
