#pragma once

// A group, as the control server knows it.

#include <cstdint>
#include <string>

#include "config/config.hpp"
#include "config/identity.hpp"
#include "shm/segment.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

struct ControlGroup {
  std::string name;
  config::Membership membership;
  config::MemorySettings memory;
  shm::UniqueFd object;  // opened for reading only: members get it
  std::uint64_t object_bytes = 0;
  shm::UniqueFd lock{};     // of a group that was added: keeps other engines out, even when the broker is dead
  bool is_removed = false;  // from the configuration; another may have its name
};

}  // namespace tlsmux::engine::control
