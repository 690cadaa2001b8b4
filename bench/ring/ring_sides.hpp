#pragma once

// The two sides of one channel, as far as a request passes through shared memory: what client and engine do, without
// TLS, sockets, correlation or deadlines.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bench/message.hpp"
#include "shm/layout.hpp"
#include "shm/ring.hpp"

namespace tlsmux::bench {

inline constexpr std::uint32_t kRingEntries = 64;
inline constexpr std::size_t kRingMessageBytes = 300;

// Shared by the two, and zero at first.
struct RingMemory {
  shm::ChannelHeader channel;
  shm::ShardWords shard;
  std::array<shm::RequestDescriptor, kRingEntries> requests;
  std::array<shm::CompletionDescriptor, kRingEntries> completions;
  shm::SlotControl control;
  alignas(shm::kCacheLineBytes) std::array<std::byte, 512> request_slot;
  alignas(shm::kCacheLineBytes) std::array<std::byte, 512> response_slot;
  // For the bare exchanges.
  alignas(shm::kCacheLineBytes) std::atomic<std::uint64_t> ping;
  alignas(shm::kCacheLineBytes) std::atomic<std::uint64_t> pong;
  alignas(shm::kCacheLineBytes) std::atomic<std::uint32_t> is_over;
};

class RingClient {
 public:
  explicit RingClient(RingMemory& memory);

  // Writes a request and publishes it. True: the engine sleeps, ring its bell.
  bool submit();
  [[nodiscard]] bool has_answer();
  // Requires has_answer(). False if it is not the answer to the request.
  bool take_answer();

 private:
  RingMemory& memory_;
  shm::RingProducer<shm::RequestDescriptor> requests_;
  shm::RingConsumer<shm::CompletionDescriptor> completions_;
  std::uint64_t generation_ = 0;
};

class RingEngine {
 public:
  explicit RingEngine(RingMemory& memory);

  [[nodiscard]] bool has_request();
  // Requires has_request(). Copies the request out, as sealing does, and the answer in, as opening does. True: the
  // client sleeps, ring its bell.
  bool answer();

 private:
  RingMemory& memory_;
  shm::RingConsumer<shm::RequestDescriptor> requests_;
  shm::RingProducer<shm::CompletionDescriptor> completions_;
  std::array<std::byte, 512> private_copy_{};
};

}  // namespace tlsmux::bench
