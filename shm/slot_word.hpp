#pragma once

// The truth about one request: 64 bits of {generation, state}, changed only by compare-and-swap on the whole word.
//
//   FREE/any end --client, owning the slot--> QUEUED         (a store: nobody else looks at the slot yet)
//   QUEUED  --engine, when it seals the request-->  SENDING  (never earlier, never back)
//   QUEUED  --client-->  WITHDRAWN                           (only the winner of this may say NOT_SENT by itself)
//   QUEUED  --engine-->  REFUSED                             (NOT_SENT)
//   SENDING --engine, before it publishes the answer-->  ANSWERED
//   SENDING --engine-->  LOST                                (MAYBE_SENT)
//   SENDING --engine, when no byte of the record was accepted by the kernel-->  REFUSED
//   SENDING --client, deadline or engine's death-->  EXPIRED (MAYBE_SENT; an answer that loses is a late one)
//
// Invariants:
//  - A word with an older generation never matches: a descriptor left over from an earlier use of the slot cannot
//    move the word of the present one.
//  - Each generation takes exactly one of the edges into {WITHDRAWN, REFUSED, ANSWERED, LOST, EXPIRED}, so each
//    request has exactly one outcome, whoever decides it.
//  - An ended slot stays the engine's until the engine returns it by a completion or is proven dead.
//
// Memory order: a winning swap is acq_rel. Release, because whoever reads the new state must see what was written
// before it (the engine writes the result beside the word, then swaps to ANSWERED). Acquire, because the winner goes
// on to use what the other side wrote before the state it found. A losing swap only reports: acquire.

#include <atomic>
#include <cstdint>

namespace tlsmux::shm {

enum class SlotState : std::uint8_t {
  free = 0,
  queued = 1,
  sending = 2,
  answered = 3,
  withdrawn = 4,
  expired = 5,
  refused = 6,
  lost = 7,
};

inline constexpr std::uint64_t kGenerationMax = (1ULL << 56) - 1;

struct SlotTruth {
  std::uint64_t generation = 0;
  SlotState state = SlotState::free;
  friend bool operator==(const SlotTruth&, const SlotTruth&) = default;
};

constexpr std::uint64_t pack(SlotTruth truth) {
  return truth.generation << 8 | static_cast<std::uint64_t>(truth.state);
}

constexpr SlotTruth unpack(std::uint64_t word) {
  return {.generation = word >> 8, .state = static_cast<SlotState>(word & 0xff)};
}

class SlotWord {
 public:
  // Client only, while it owns the slot. Release is not needed here (the ring's publish orders it) but costs nothing
  // and keeps the word meaningful to a reader that looks at it without the ring, as settlement does.
  void start(std::uint64_t generation) {
    word_.store(pack({generation, SlotState::queued}), std::memory_order_release);
  }

  // True when this call moved the word. The caller reads `load` to learn why not.
  bool try_move(std::uint64_t generation, SlotState from, SlotState to) {
    auto expected = pack({generation, from});
#if defined(TLSMUX_MUTANT_STORE_STATE)
    // Deliberate bug, to show that the stress test sees it: decide by a read, then store.
    if (word_.load(std::memory_order_acquire) != expected) return false;
    word_.store(pack({generation, to}), std::memory_order_release);
    return true;
#else
    return word_.compare_exchange_strong(expected, pack({generation, to}), std::memory_order_acq_rel,
                                         std::memory_order_acquire);
#endif
  }

  [[nodiscard]] SlotTruth load() const { return unpack(word_.load(std::memory_order_acquire)); }

 private:
  std::atomic<std::uint64_t> word_;
};

static_assert(sizeof(SlotWord) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace tlsmux::shm
