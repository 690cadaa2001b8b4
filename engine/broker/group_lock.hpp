#pragma once

// Sees to it that a group has one engine on this machine. The lock is on /dev/shm/tlsmux.GROUP.lock and lives as long
// as any process that inherited it: a second broker stays out even while an engine whose broker died still drains.
//
// Every user may put something at that name and lock it. What is not a file of the user who runs this is not opened: root puts its own in
// its place. So of two tlsmuxd of different users root's wins, and the other one goes on unseen until it is stopped.

#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/log/log.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// Moving it does not unlock. Destroying it removes the file, and unlocks once no other process holds the descriptor.
class GroupLock {
 public:
  // Never waits. An error in words when the group is served already by an engine of this user's, or the name is taken by somebody else
  // and this process may not remove that.
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
  [[nodiscard]] const std::string& path() const { return path_; }
  // What of somebody else's was in its place: "a file of uid 1000"; empty: nothing.
  [[nodiscard]] const std::string& displaced() const { return displaced_; }

 private:
  // Of a file that is locked.
  GroupLock(std::string group, std::string path, shm::UniqueFd fd, std::string displaced);

  std::string group_;
  std::string path_;
  shm::UniqueFd fd_;
  std::string displaced_;
};

// Says so, if something of somebody else's was removed for it.
void log_displaced(const GroupLock& lock, Log& log);

// All or none; the errors of all that failed.
std::expected<std::vector<GroupLock>, std::vector<std::string>> lock_groups(
    const std::vector<config::GroupSettings>& groups);

}  // namespace tlsmux::engine::broker
