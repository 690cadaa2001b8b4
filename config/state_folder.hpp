#pragma once

// Where tlsmuxd keeps what must survive it.

#include <filesystem>
#include <string>

#include "config/config.hpp"

namespace tlsmux::config {

// `state_directory`, or the folder of the control socket.
inline std::string state_folder(const EngineSettings& engine) {
  if (!engine.state_directory.empty()) return engine.state_directory;
  return std::filesystem::path(engine.control_socket).parent_path().string();
}

}  // namespace tlsmux::config
