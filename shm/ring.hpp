#pragma once

// A single-producer single-consumer ring over memory that both sides map.
//
// Invariants, for entries = a power of two and positions that only grow:
//  - head <= tail <= head + entries. Entry p lies at p mod entries.
//  - Only the producer writes `tail` and the entries in [tail, head + entries); only the consumer writes `head`.
//
// Each side keeps its own position privately and never reads it back from shared memory, so the other side can lie
// only about its own position. A consumer that finds a tail outside the invariant reports it; a producer that finds
// such a head does too.
//
// Memory order: the owner stores its position with release, after writing (producer) or reading (consumer) the
// entries; the other side loads it with acquire before touching them. The peer's position is cached and reloaded only
// when the cached one is used up, so that the common case touches no line the other side writes.

#include <atomic>
#include <bit>
#include <cstdint>
#include <expected>
#include <span>

#include "shm/assert.hpp"
#include "shm/layout.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::shm {

// The other side's position is impossible: it is broken or hostile, and the ring cannot be trusted any more.
struct RingCorrupt {};

// One thread. The memory outlives it.
template <typename Entry>
class RingProducer {
 public:
  RingProducer() = default;
  RingProducer(RingIndexes* indexes, std::span<Entry> entries) : indexes_(indexes), entries_(entries) {
    TMX_ASSERT(std::has_single_bit(entries.size()));
  }

  // Entries that can be pushed now.
  std::expected<std::uint64_t, RingCorrupt> room() {
    if (tail_ - head_ == entries_.size()) {
      const auto head = indexes_->head.load(std::memory_order_acquire);
      if (head - head_ > tail_ - head_) return std::unexpected(RingCorrupt{});
      head_ = head;
    }
    return entries_.size() - (tail_ - head_);
  }

  // Requires room() > 0, or a protocol above that bounds what is outstanding. Not seen before publish().
  void push(const Entry& entry) { copy_to_shared(entries_[tail_++ & (entries_.size() - 1)], entry); }

  void publish() { indexes_->tail.store(tail_, std::memory_order_release); }

 private:
  RingIndexes* indexes_ = nullptr;
  std::span<Entry> entries_;
  std::uint64_t tail_ = 0;
  std::uint64_t head_ = 0;  // as last seen
};

// One thread. The memory outlives it.
template <typename Entry>
class RingConsumer {
 public:
  RingConsumer() = default;
  RingConsumer(RingIndexes* indexes, std::span<Entry> entries) : indexes_(indexes), entries_(entries) {
    TMX_ASSERT(std::has_single_bit(entries.size()));
  }

  // Entries that can be taken now.
  std::expected<std::uint64_t, RingCorrupt> available() {
    if (head_ == tail_) {
      const auto tail = indexes_->tail.load(std::memory_order_acquire);
      if (tail - head_ > entries_.size()) return std::unexpected(RingCorrupt{});
      tail_ = tail;
    }
    return tail_ - head_;
  }

  // Requires available() > 0. Copies the entry once; the place is the producer's again after release().
  Entry take() { return copy_from_shared(entries_[head_++ & (entries_.size() - 1)]); }

  void release() { indexes_->head.store(head_, std::memory_order_release); }

 private:
  RingIndexes* indexes_ = nullptr;
  std::span<Entry> entries_;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;  // as last seen
};

}  // namespace tlsmux::shm
