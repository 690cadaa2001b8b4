#include "config/check/config_check.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/check/check_ports.hpp"
#include "config/check/check_ssl_wrapper.hpp"
#include "config/check/check_upstream.hpp"
#include "config/check/findings.hpp"
#include "config/check/value_checker.hpp"
#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

template <class Named>
void check_unique_names(const std::vector<Named>& list, const std::string& pointer, Findings& findings) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto first = std::ranges::find(list, list[i].name, &Named::name);
    const auto index = static_cast<std::size_t>(first - list.begin());
    if (index == i || list[i].name.empty()) continue;
    const std::string first_pointer = pointer_to(pointer_to(pointer, index), "name");
    findings.add(pointer_to(pointer_to(pointer, i), "name"),
                 in_quotes(list[i].name) + " is the name at " + first_pointer + " already; each needs its own",
                 {first_pointer});
  }
}

// An upper bound: the exact layout is shm's.
std::uint64_t client_memory_bytes(const MemorySettings& memory) {
  const std::uint64_t slot_bytes = std::uint64_t{memory.slot_bytes} + kSlotOverheadBytesMax;
  const std::uint64_t channel_bytes = memory.slots_per_channel * slot_bytes + kChannelOverheadBytesMax;
  return memory.channels_per_client * channel_bytes + kClientOverheadBytesMax;
}

void check_group(const GroupSettings& group, const std::string& pointer, Findings& findings) {
  if (group.users.empty() && group.unix_groups.empty()) {
    findings.add(pointer_to(pointer, "users"),
                 "nobody could use this group; name users here, or Unix groups in \"unix_groups\"",
                 {pointer_to(pointer, "unix_groups")});
  }
  const std::string memory = pointer_to(pointer, "memory");
  if (group.memory.slots_per_channel % 2 != 0) {
    findings.add(pointer_to(memory, "slots_per_channel"),
                 "must be even, is " + std::to_string(group.memory.slots_per_channel) +
                     "; each request takes two slots, one for it and one for its answer");
  }
  if (const std::uint64_t bytes = client_memory_bytes(group.memory); bytes > kClientMemoryBytesMax) {
    findings.add(memory, "a client would need " + std::to_string(bytes) + " bytes, the most is " +
                             std::to_string(kClientMemoryBytesMax) +
                             "; lower channels_per_client, slots_per_channel or slot_bytes");
  }
}

void check_cpus(const EngineSettings& engine, Findings& findings) {
  if (!engine.cpus.empty() && engine.cpus.size() != engine.shards) {
    findings.add("/engine/cpus",
                 "names " + std::to_string(engine.cpus.size()) + " processors for " + std::to_string(engine.shards) +
                     " shards; give one for each, or none",
                 {"/engine/shards"});
  }
  for (std::size_t i = 0; i < engine.cpus.size(); ++i) {
    const auto first = std::ranges::find(engine.cpus, engine.cpus[i]) - engine.cpus.begin();
    if (static_cast<std::size_t>(first) == i) continue;
    findings.add(pointer_to("/engine/cpus", i),
                 std::to_string(engine.cpus[i]) + " stands in this list already; each shard needs its own processor");
  }
}

void check_purpose(const Config& config, Findings& findings) {
  const bool has_ports = std::ranges::any_of(config.groups, [](const GroupSettings& group) {
    return !group.ports.static_ports.empty() || !group.ports.dynamic.empty();
  });
  if (config.upstreams.empty() && !has_ports) {
    findings.add("/upstreams", "are missing, and no group has ports: such an engine would be of no use; name a host");
  }
}

void check_sessions_of_all(const Config& config, Findings& findings) {
  std::uint64_t sessions = 0;
  for (const UpstreamSettings& upstream : config.upstreams) {
    sessions += std::max(upstream.sessions, upstream.sessions_max);
  }
  if (sessions > kSessionsMax) {
    findings.add("/upstreams", "all upstreams together ask for " + std::to_string(sessions) +
                                   " sessions, the most is " + std::to_string(kSessionsMax) +
                                   "; lower \"sessions\" or \"sessions_max\" of some");
  }
}

}  // namespace

ConfigErrors check(const Config& config, std::span<const ConfigError> earlier) {
  Findings values(earlier);
  ValueChecker checker("", values);
  Config copy = config;  // describe() hands out fields that a reader may write
  describe(checker, copy);
  ConfigErrors errors = std::move(values).take();

  ConfigErrors known(earlier.begin(), earlier.end());
  known.insert(known.end(), errors.begin(), errors.end());
  Findings relations(known);
  check_cpus(config.engine, relations);
  check_unique_names(config.groups, "/groups", relations);
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    check_group(config.groups[i], pointer_to("/groups", i), relations);
  }
  check_unique_names(config.upstreams, "/upstreams", relations);
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) check_upstream(config, i, relations);
  check_purpose(config, relations);
  check_ports(config, relations);
  check_sessions_of_all(config, relations);
  check_ssl_wrapper(config, relations);
  std::ranges::move(std::move(relations).take(), std::back_inserter(errors));
  return errors;
}

ConfigErrors check(const Config& config) { return check(config, {}); }

}  // namespace tlsmux::config
