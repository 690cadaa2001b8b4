#pragma once

#include <cstddef>
#include <cstdint>

namespace tlsmux::engine {

// The shard that an upstream belongs to, by its index in the engine, which it keeps for as long as the engine lives. All
// about an upstream stays in one thread: its sessions, keys, limits, orphans, trace numbers and the channels to it.
constexpr std::uint32_t shard_of(std::size_t upstream, std::uint32_t shards) {
  return static_cast<std::uint32_t>(upstream % shards);
}

}  // namespace tlsmux::engine
