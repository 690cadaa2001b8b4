#pragma once

// Sees to it that a group has one engine on this machine. The lock is on /dev/shm/tlsmux.GROUP.lock and lives as long
// as any process that inherited it: a second broker stays out even while an engine whose broker died still drains.

#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// Moving it does not unlock. Destroying it removes the file, and unlocks once no other process holds the descriptor.
class GroupLock {
 public:
  // Never waits. An error in words when the group is served already, or the file is somebody else's.
  static std::expected<GroupLock, std::string> take(const std::string& group);

  GroupLock(GroupLock&&) noexcept = default;
  GroupLock& operator=(GroupLock&&) = delete;
  ~GroupLock();

  // Removes the file and unlocks, whoever else holds the descriptor.
  void unlock();

  // Who serves the group: `PID INODE`, the inode of the calling thread's network namespace, in /proc/PID/ns/net.
  void name_holder(pid_t pid) const;
  [[nodiscard]] int descriptor() const { return fd_.get(); }
  [[nodiscard]] const std::string& group() const { return group_; }

 private:
  GroupLock(std::string group, std::string name, shm::UniqueFd fd)
      : group_(std::move(group)), name_(std::move(name)), fd_(std::move(fd)) {}

  std::string group_;
  std::string name_;  // of the shared-memory object
  shm::UniqueFd fd_;
};

// All or none; the errors of all that failed.
std::expected<std::vector<GroupLock>, std::vector<std::string>> lock_groups(
    const std::vector<config::GroupSettings>& groups);

}  // namespace tlsmux::engine::broker
