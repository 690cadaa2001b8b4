#pragma once

// Sleep and wake between two processes, without a system call when the other side is awake.
//
// The sleeper:   arm; full fence; look again; sleep unless something is there.
// The publisher: publish; full fence; if armed, disarm and ring.
//
// Invariant: never do both sides miss each other. Each side writes its own word and then reads the other's; the
// sequentially consistent fence between the two keeps that order, so at least one of the two reads sees the other's
// write (Dekker). Take either fence out and a wake is lost: a store may be delayed past a later load on every
// processor, x86 included.
//
// The flag itself carries no data: relaxed suffices for it. The exchange makes sure that one arming is rung at most
// once, however many publishers come.

#include <atomic>
#include <cstdint>

namespace tlsmux::shm {

inline void full_fence() {
#if !defined(TLSMUX_MUTANT_NO_FENCE)
  std::atomic_thread_fence(std::memory_order_seq_cst);
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);  // deliberate bug: holds back the compiler only
#endif
}

// The sleeper's side. After this it must look again before it sleeps.
inline void arm(std::atomic<std::uint32_t>& armed) {
  armed.store(1, std::memory_order_relaxed);
  full_fence();
}

// The sleeper's side, when it did find something or has woken.
inline void disarm(std::atomic<std::uint32_t>& armed) { armed.store(0, std::memory_order_relaxed); }

// The publisher's side, after publishing. True: ring now.
inline bool must_ring(std::atomic<std::uint32_t>& armed) {
  full_fence();
  return armed.load(std::memory_order_relaxed) != 0 && armed.exchange(0, std::memory_order_relaxed) != 0;
}

}  // namespace tlsmux::shm
