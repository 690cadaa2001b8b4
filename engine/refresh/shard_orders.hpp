#pragma once

#include <cstdint>

#include "engine/shard/shard_command.hpp"

namespace tlsmux::engine {

// Of an order to all shards, what one of so many is to be told: all changes, but the TLS clients of its own upstreams only,
// which are taken out of the order.
ApplyConfig part_for_shard(ApplyConfig& order, std::uint32_t shard, std::uint32_t shards);

}  // namespace tlsmux::engine
