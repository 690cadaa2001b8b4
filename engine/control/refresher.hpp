#pragma once

// What the control server needs in order to change a running engine's configuration.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/identity.hpp"
#include "config/plan.hpp"
#include "engine/control/control_group.hpp"
#include "engine/shard/shard_command.hpp"

namespace tlsmux::engine::control {

struct RefreshPlan {
  std::vector<config::Change> changes;
  std::string errors;  // a line for each; then nothing can be changed
  std::string warnings = {};
  // What the shards must do; nothing: there is nothing to change, or it must not be.
  std::optional<ApplyConfig> order;

  // For the control server itself, once the shards are done. In the order of its groups; nothing for one that is gone.
  struct Group {
    config::Membership membership;
    config::MemorySettings memory;
  };
  std::vector<std::optional<Group>> groups;
  std::vector<ControlGroup> groups_added;
  std::uint32_t drain_timeout_ms = 0;
  config::IdleStrategy idle_strategy = config::IdleStrategy::power;

  [[nodiscard]] bool is_refused() const { return !errors.empty() || !config::all_live(changes); }
};

class Refresher {
 public:
  virtual ~Refresher() = default;
  // Reads the configuration anew and gets ready all that it needs, so that nothing can fail afterwards. `order` only
  // without `dry_run`. Blocks on the broker and on files.
  virtual RefreshPlan prepare(bool dry_run) = 0;
  // The shards have carried out the order of the last prepare(), and no client is in a group that is gone.
  virtual void adopt() = 0;
  // A line for each certificate of ours and each revocation list, as they were read last, that is not valid or will not be for long.
  [[nodiscard]] virtual std::string expiry_warnings() const = 0;
};

}  // namespace tlsmux::engine::control
