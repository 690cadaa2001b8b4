#pragma once

#include <string>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::bench {

// Connects to "127.0.0.1:PORT", without delay of small segments, or to the path of a UNIX socket, on which nobody may
// listen yet for some seconds. Throws std::runtime_error.
shm::UniqueFd connect_to(const std::string& target);

}  // namespace tlsmux::bench
