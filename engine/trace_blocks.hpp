#pragma once

// The trace numbers of an upstream as blocks numbered from 0: both the engine and its broker count by these.

#include <algorithm>
#include <cstdint>

#include "config/config.hpp"
#include "shm/trace_lease.hpp"

namespace tlsmux::engine {

// A run of blocks.
struct TraceChunk {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

// The last one may be shorter than the others.
constexpr std::uint32_t trace_block_count(const config::TraceNumberSettings& settings) {
  return (settings.last - settings.first) / settings.block + 1;
}

constexpr shm::TraceBlock trace_block(const config::TraceNumberSettings& settings, std::uint32_t block) {
  const auto first = settings.first + block * settings.block;
  return {.first = first, .count = std::min(settings.block, settings.last - first + 1)};
}

// What the engine reserves at one time: so much is skipped when it dies.
constexpr std::uint32_t trace_chunk_blocks(const config::TraceNumberSettings& settings) {
  constexpr std::uint32_t kChunksInRound = 64;
  constexpr std::uint32_t kBlocksMax = 1024;
  return std::clamp(trace_block_count(settings) / kChunksInRound, 1U, kBlocksMax);
}

}  // namespace tlsmux::engine
