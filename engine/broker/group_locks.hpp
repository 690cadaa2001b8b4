#pragma once

// The locks of all groups of the configuration, and of those that a candidate for it adds.

#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/config_error.hpp"
#include "engine/broker/group_lock.hpp"

namespace tlsmux::engine::broker {

class GroupLocks {
 public:
  explicit GroupLocks(std::vector<GroupLock> present) : present_(std::move(present)) {}

  [[nodiscard]] const std::vector<GroupLock>& present() const { return present_; }

  // Of those of its groups that are not locked yet; all or none. The errors of all that failed.
  config::ConfigErrors take_for(const config::Config& candidate);
  // Of a group that the candidate adds; null: it adds no such group.
  [[nodiscard]] const GroupLock* added(const std::string& group) const;

  // The candidate is the configuration now: locks and objects of groups that it has not are given up.
  void adopt(const config::Config& candidate);
  // There will be no such candidate: the same for the groups that it added.
  void drop();

 private:
  std::vector<GroupLock> present_;
  std::vector<GroupLock> added_;
};

}  // namespace tlsmux::engine::broker
