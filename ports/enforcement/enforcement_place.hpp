#pragma once

// Where one engine's reservation and guard are known from: by its control socket, which no two live engines share. So
// tlsmuxd and `tlsmux ports` find the same ones, whichever of them came first.

#include <string>
#include <vector>

#include "config/config.hpp"
#include "ports/guard.hpp"

namespace tlsmux::ports {

struct EnforcementPlace {
  std::string folder;  // for what must survive this process
  GuardPlace guard;

  [[nodiscard]] const std::string& instance() const { return guard.instance; }
  [[nodiscard]] std::string journal() const;    // of the reservation
  [[nodiscard]] std::string record() const;     // of the guard
  [[nodiscard]] std::string lock_file() const;  // for whoever changes something
};

EnforcementPlace place_of(const config::EngineSettings& engine);

// The instance that a control socket stands for: letters, digits, "-" and "_", at most 48 of them; made of the path's
// end, for people, and a hash of all of it.
std::string instance_name(const std::string& control_socket);

// The instances that have a journal in the folder.
std::vector<std::string> journalled_instances(const std::string& folder);

}  // namespace tlsmux::ports
