#pragma once

// Trace numbers on lease: the engine grants blocks of consecutive numbers to a channel, the client counts through them
// in private memory, so that a number costs nanoseconds. See TraceLease in layout.hpp.
//
// Invariants, for positions that only grow (modulo 2^32):
//  - taken <= granted <= taken + kTraceBlocks. Block n lies at n mod kTraceBlocks.
//  - Only the engine writes `granted` and the blocks in [taken, taken + kTraceBlocks); only the client writes `taken`
//    and `asked`.
//  - A number of block n is handed out only while the client's own position is n + 1. So once `taken` is past n + 1, or
//    the channel or its client has gone, the client hands out no further number of block n: the block has been left.
//
// Memory order. `granted` is stored with release after the block and loaded with acquire before it: the client sees the
// numbers that were granted. `taken` is stored with release after the client has copied the block and loaded with
// acquire: the engine overwrites a place only after it has been read. `asked` and `taken` are seen by an engine that
// took the channel's ready bit (release by the client, acquire by the engine), so plain loads of them would do there;
// acquire costs nothing.
//
// A client may be the last to learn that its engine is dead or has let go of it. So it hands out numbers for no longer
// than kTraceTrustNs after it has last looked and found the engine alive and itself attached; then it looks again.
//
// Each side keeps its own position privately, and believes the other's only within the invariant. What a client lies
// about harms nobody else: it can repeat only numbers that were leased to itself.

#include <cstdint>
#include <expected>

#include "config/limits.hpp"
#include "shm/assert.hpp"
#include "shm/layout.hpp"

namespace tlsmux::shm {

inline constexpr std::uint64_t kTraceTrustNs = 20'000'000'000;

// The other side wrote what it may not: it is broken or hostile.
struct TraceLeaseCorrupt {};

struct TraceBlock {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

constexpr std::uint64_t pack(TraceBlock block) { return std::uint64_t{block.count} << 32 | block.first; }

// The engine's side. One thread. The memory outlives it.
class TraceLeaseProducer {
 public:
  TraceLeaseProducer() = default;
  explicit TraceLeaseProducer(TraceLease* lease) : lease_(lease) {}

  [[nodiscard]] bool is_asked() const { return lease_->asked.load(std::memory_order_acquire) != 0; }

  // How many blocks the client has begun since the last call.
  std::expected<std::uint32_t, TraceLeaseCorrupt> look() {
    const auto taken = lease_->taken.load(std::memory_order_acquire);
    const auto begun = taken - taken_;
    if (begun > granted_ - taken_) return std::unexpected(TraceLeaseCorrupt{});
    taken_ = taken;
    return begun;
  }

  // Granted and not begun, as last seen.
  [[nodiscard]] std::uint32_t ahead() const { return granted_ - taken_; }
  // Begun, as last seen.
  [[nodiscard]] std::uint32_t taken() const { return taken_; }

  // Requires ahead() < kTraceBlocks. Not seen before publish().
  void push(TraceBlock block) {
    TMX_ASSERT(ahead() < kTraceBlocks && block.count > 0);
    lease_->blocks[granted_++ % kTraceBlocks].store(pack(block), std::memory_order_relaxed);
  }

  void publish() { lease_->granted.store(granted_, std::memory_order_release); }

 private:
  TraceLease* lease_ = nullptr;
  std::uint32_t granted_ = 0;
  std::uint32_t taken_ = 0;
};

// The client's side. One thread. The memory outlives it.
class TraceLeaseConsumer {
 public:
  TraceLeaseConsumer() = default;
  explicit TraceLeaseConsumer(TraceLease* lease) : lease_(lease) {}

  // The next number of the present block. False: the block is used up, or there was none yet.
  bool next(std::uint32_t& number) {
    if (left_ == 0) [[unlikely]]
      return false;
    --left_;
    number = next_++;
    return true;
  }

  // Begins the next block: the channel's ready bit is to be set. False: none is there.
  std::expected<bool, TraceLeaseCorrupt> begin_block() {
    const auto granted = lease_->granted.load(std::memory_order_acquire);
    if (granted - taken_ > kTraceBlocks) return std::unexpected(TraceLeaseCorrupt{});
    is_starved_ = granted == taken_;
    if (is_starved_) return false;
    const auto block = lease_->blocks[taken_ % kTraceBlocks].load(std::memory_order_relaxed);
    const auto first = static_cast<std::uint32_t>(block);
    const auto count = static_cast<std::uint32_t>(block >> 32);
    if (count == 0 || count > config::kTraceNumberBlockMax || first > config::kTraceNumberMax - count + 1) {
      return std::unexpected(TraceLeaseCorrupt{});
    }
    next_ = first;
    left_ = count;
    lease_->taken.store(++taken_, std::memory_order_release);
    return true;
  }

  // Blocks that are there and not begun, at least.
  [[nodiscard]] std::uint32_t ahead() const { return lease_->granted.load(std::memory_order_relaxed) - taken_; }

  // Once; the channel is to be announced afterwards.
  [[nodiscard]] bool has_asked() const { return has_asked_; }
  void ask() {
    has_asked_ = true;
    lease_->asked.store(1, std::memory_order_release);
  }

  // A block has come since the last begin_block() found none.
  [[nodiscard]] bool is_relieved() const {
    return is_starved_ && lease_->granted.load(std::memory_order_acquire) != taken_;
  }

 private:
  TraceLease* lease_ = nullptr;
  std::uint32_t next_ = 0;
  std::uint32_t left_ = 0;
  std::uint32_t taken_ = 0;
  bool has_asked_ = false;
  bool is_starved_ = false;
};

}  // namespace tlsmux::shm
