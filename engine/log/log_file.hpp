#pragma once

#include <expected>
#include <string>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

// The file that the log is appended to: made with mode 0640 if it is missing; else a regular file, or whatever is meant below /dev and
// /proc (/dev/stdout, a terminal). Never waits, for a FIFO's reader for instance. Links are followed if root or the user who runs this has
// made them: others' could lead root to append to any file, where the log's folder is theirs. EPERM otherwise, in words.
std::expected<shm::UniqueFd, shm::SystemError> open_log_file(const std::string& path);

}  // namespace tlsmux::engine
