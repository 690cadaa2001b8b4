#pragma once

// Sees to it that of all tlsmuxd of a machine one at a time counts the trace numbers of a file. Two with the same
// `state_directory` may have an upstream of the same name, each for groups of its own: both would go on from the same number.

#include <expected>
#include <map>
#include <string>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// Lives as long as its broker: what one engine has counted, the next goes on with.
class TraceLocks {
 public:
  TraceLocks() = default;
  // Removes the files.
  ~TraceLocks();
  TraceLocks(const TraceLocks&) = delete;
  TraceLocks& operator=(const TraceLocks&) = delete;

  // Of the trace numbers in the file `path`: PATH.lock, mode 0600, with the pid of this process. Never waits. No error if it
  // is taken already. EBUSY: a live tlsmuxd has it; EACCES: what is there is not a file of this user's with no other name.
  std::expected<void, shm::SystemError> take(const std::string& path);

 private:
  std::map<std::string, shm::UniqueFd> taken_;  // by the lock's path
};

}  // namespace tlsmux::engine::broker
