#include "engine/broker/group_locks.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "config/json/json_pointer.hpp"
#include "shm/segment.hpp"

namespace tlsmux::engine::broker {
namespace {

// The object first: once the lock is free, an object of that name is another engine's.
void give_up(GroupLock& lock) {
  shm::remove_group_object(lock.group());
  lock.unlock();
}

}  // namespace

config::ConfigErrors GroupLocks::take_for(const config::Config& candidate) {
  drop();
  config::ConfigErrors errors;
  for (std::size_t i = 0; i < candidate.groups.size(); ++i) {
    const auto& name = candidate.groups[i].name;
    if (std::ranges::find(present_, name, &GroupLock::group) != present_.end()) continue;
    auto lock = GroupLock::take(name);
    if (lock) {
      added_.push_back(std::move(*lock));
    } else {
      errors.push_back({.pointer = config::pointer_to("/groups", i), .message = lock.error()});
    }
  }
  if (!errors.empty()) drop();
  return errors;
}

const GroupLock* GroupLocks::added(const std::string& group) const {
  const auto found = std::ranges::find(added_, group, &GroupLock::group);
  return found == added_.end() ? nullptr : &*found;
}

void GroupLocks::adopt(const config::Config& candidate) {
  std::vector<GroupLock> kept;
  for (auto& lock : present_) {
    const bool stays =
        std::ranges::find(candidate.groups, lock.group(), &config::GroupSettings::name) != candidate.groups.end();
    if (stays) {
      kept.push_back(std::move(lock));
    } else {
      give_up(lock);
    }
  }
  std::ranges::move(added_, std::back_inserter(kept));
  added_.clear();
  present_ = std::move(kept);
}

void GroupLocks::drop() {
  for (auto& lock : added_) give_up(lock);
  added_.clear();
}

}  // namespace tlsmux::engine::broker
