#pragma once

// The trace numbers of an upstream as blocks numbered from 0: both the engine and its broker count by these.

#include <algorithm>
#include <cstdint>

#include "config/config.hpp"
#include "engine/shard/trace_ranges.hpp"
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

// Requires blocks.
constexpr TraceRange numbers_of(const config::TraceNumberSettings& settings, TraceChunk chunk) {
  const auto last = trace_block(settings, chunk.first + chunk.count - 1);
  return {.first = trace_block(settings, chunk.first).first, .last = last.first + last.count - 1};
}

// Of the broker: more blocks of an upstream. `begins`: it is the first time that this engine asks for this upstream.
// `held` is what its clients may still have, or may get before it asks again; not known when it begins.
struct TraceNeed {
  std::uint32_t blocks = 0;
  bool begins = false;
  TraceHolds held{};
};

// What the broker has reserved. When the engine begins, `held` is what clients of earlier engines may still have.
struct TraceReservation {
  TraceChunk chunk;
  TraceHolds held{};
};

// What the engine reserves at one time: so much is skipped when it dies.
constexpr std::uint32_t trace_chunk_blocks(const config::TraceNumberSettings& settings) {
  constexpr std::uint32_t kChunksInRound = 64;
  constexpr std::uint32_t kBlocksMax = 1024;
  return std::clamp(trace_block_count(settings) / kChunksInRound, 1U, kBlocksMax);
}

}  // namespace tlsmux::engine
