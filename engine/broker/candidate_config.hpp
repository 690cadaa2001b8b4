#pragma once

// The configuration that an engine may change over to: read anew from the file that tlsmuxd was started with, checked
// like at the start, and kept until the engine has taken it over or given it up.

#include <expected>
#include <optional>
#include <string>

#include "config/config.hpp"
#include "engine/broker/group_locks.hpp"
#include "engine/broker/port_enforcement.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

class CandidateConfig {
 public:
  // `present` and its groups' locks outlive it; adopt() replaces what they are. An empty path: there is no file. `ports`
  // outlives it, too; null: ports are not looked at.
  CandidateConfig(config::Config& present, GroupLocks& locks, std::string path, const PortEnforcement* ports = nullptr)
      : present_(&present), locks_(&locks), path_(std::move(path)), ports_(ports) {}

  struct Loaded {
    bool is_refused = false;
    shm::UniqueFd text;  // sealed: the bundle, or all errors
  };
  // In place of an earlier candidate. Groups that it adds are locked; one that another engine serves is an error, and
  // so are ports that one gives out, and what the machine does not allow. Blocks on the file system and the account
  // database.
  std::expected<Loaded, shm::SystemError> load();

  // Null: there is none.
  [[nodiscard]] const config::Config* get() const { return candidate_ ? &*candidate_ : nullptr; }
  // The lock of group `index` of it, if it adds that; else null.
  [[nodiscard]] const GroupLock* added(std::uint32_t index) const;
  // Objects of groups that come or go by these are removed as well. False: there is none.
  bool adopt();
  void drop();

 private:
  config::Config* present_;
  GroupLocks* locks_;
  std::string path_;
  const PortEnforcement* ports_;
  std::optional<config::Config> candidate_;
};

}  // namespace tlsmux::engine::broker
