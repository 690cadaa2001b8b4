#pragma once

// What the shards of one engine say of themselves, so that the groups' tables can show the engine as one: it is as far
// as the shard that is least far, and its heart beats as long ago as that of the shard that has been silent longest.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "config/limits.hpp"
#include "shm/layout.hpp"

namespace tlsmux::engine {

// Each shard's thread writes its own place; any may read all.
class EngineVitals {
 public:
  explicit EngineVitals(std::uint32_t shards) : shards_(shards) {}

  // States only ever advance. Returns the engine's. Sequentially consistent: of shards that advance at one time the last
  // sees all others.
  shm::EngineState advance(std::uint32_t shard, shm::EngineState state) {
    vitals_[shard].state.store(state);
    return this->state();
  }
  [[nodiscard]] shm::EngineState state() const {
    auto least = vitals_[0].state.load();
    for (std::uint32_t i = 1; i < shards_; ++i) least = std::min(least, vitals_[i].state.load());
    return least;
  }

  // Returns the engine's heartbeat.
  std::uint64_t beat(std::uint32_t shard, std::uint64_t now_ns) {
    vitals_[shard].heartbeat_ns.store(now_ns, std::memory_order_relaxed);
    auto oldest = now_ns;
    for (std::uint32_t i = 0; i < shards_; ++i) {
      oldest = std::min(oldest, vitals_[i].heartbeat_ns.load(std::memory_order_relaxed));
    }
    return oldest;
  }

 private:
  struct alignas(shm::kCacheLineBytes) Vitals {
    std::atomic<shm::EngineState> state = shm::EngineState::starting;
    std::atomic<std::uint64_t> heartbeat_ns = 0;
  };

  std::uint32_t shards_;
  std::array<Vitals, config::kShardsMax> vitals_;
};

}  // namespace tlsmux::engine
