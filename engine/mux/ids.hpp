#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace tlsmux::engine::mux {

// Names one session of one shard for as long as that session lives: the place in the shard's table, and how often the
// place has been used. An id that outlives its session matches no later one.
struct SessionId {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  friend auto operator<=>(const SessionId&, const SessionId&) = default;
};

// Likewise one stream of one shard.
struct StreamId {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  friend auto operator<=>(const StreamId&, const StreamId&) = default;
};

}  // namespace tlsmux::engine::mux

template <>
struct std::hash<tlsmux::engine::mux::SessionId> {
  std::size_t operator()(tlsmux::engine::mux::SessionId id) const noexcept {
    return std::hash<std::uint64_t>{}(std::uint64_t{id.generation} << 32 | id.index);
  }
};
