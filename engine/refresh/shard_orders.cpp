#include "engine/refresh/shard_orders.hpp"

#include <utility>

#include "engine/shard/shard_of.hpp"

namespace tlsmux::engine {

ApplyConfig part_for_shard(ApplyConfig& order, std::uint32_t shard, std::uint32_t shards) {
  ApplyConfig part{.config = order.config,
                   .upstreams = {},
                   .groups_added = order.groups_added,
                   .groups_removed = order.groups_removed,
                   .is_answered = order.is_answered};
  for (auto& change : order.upstreams) {
    auto& copy = part.upstreams.emplace_back(change.kind, change.index, nullptr, change.replace_sessions);
    if (shard_of(change.index, shards) != shard) continue;
    copy.tls_client = std::move(change.tls_client);
    copy.source_ports = change.source_ports;
  }
  return part;
}

}  // namespace tlsmux::engine
