#pragma once

// Ports on lease: the engine offers ports to a client, which takes one without asking. See PortLeases in layout.hpp.
//
//   empty --engine--> offered --client, any thread--> taken --engine has seen it--> offered (another) or empty
//                        \------engine takes it back------> empty
//
// Invariants:
//  - A word leaves `offered` by compare-and-swap of the whole word only; whoever wins has the port. `generation` grows
//    with every offer, so a swap for an older offer fails.
//  - The engine keeps what it has offered in private memory. Of the word it believes two values: the offer as it wrote
//    it, and the same one taken. Anything else is a broken rule.
//  - A port that was offered and whose word is not `offered` any more is claimed, whatever the client says later.
//
// Memory order: the word is all there is to say; no other memory is published by it. So relaxed would do; the client's
// swap acquires, so that what a thread does with the port comes after its taking.
//
// A client may be the last to learn that its engine is dead. So it takes leases for no longer than kPortTrustNs after it
// last found the engine alive, and the next engine gives out no port that was on lease before that time is over.

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "shm/layout.hpp"

namespace tlsmux::shm {

inline constexpr std::uint64_t kPortTrustNs = 1'000'000'000;

enum class LeaseState : std::uint8_t { empty = 0, offered = 1, taken = 2 };

struct PortLease {
  std::uint32_t generation = 0;
  std::uint16_t port = 0;
  LeaseState state = LeaseState::empty;

  friend bool operator==(const PortLease&, const PortLease&) = default;
};

constexpr std::uint64_t pack(const PortLease& lease) {
  return std::uint64_t{lease.generation} << 32 | std::uint64_t{lease.port} << 8 |
         static_cast<std::uint64_t>(lease.state);
}

constexpr PortLease unpack_lease(std::uint64_t word) {
  return {.generation = static_cast<std::uint32_t>(word >> 32),
          .port = static_cast<std::uint16_t>(word >> 8),
          .state = static_cast<LeaseState>(word & 0xff)};
}

// The client's side; any thread. Takes one of the offers; nothing: there is none.
inline std::optional<std::uint16_t> take_lease(std::span<std::atomic<std::uint64_t>> words) {
  for (auto& word : words) {
    auto seen = word.load(std::memory_order_relaxed);
    auto lease = unpack_lease(seen);
    if (lease.state != LeaseState::offered) continue;
    lease.state = LeaseState::taken;
    if (word.compare_exchange_strong(seen, pack(lease), std::memory_order_acquire, std::memory_order_relaxed)) {
      return lease.port;
    }
  }
  return std::nullopt;
}

}  // namespace tlsmux::shm
