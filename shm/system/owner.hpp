#pragma once

// Whose files and processes this one believes: root's, who can do anything, and those of its own effective user.

#include <unistd.h>

namespace tlsmux::shm {

[[nodiscard]] inline bool is_root_or_own(uid_t owner) { return owner == 0 || owner == ::geteuid(); }

}  // namespace tlsmux::shm
