#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tlsmux::engine::message {

struct SipHashKey {
  std::uint64_t low = 0;   // bytes 0 to 7 of the key, little-endian
  std::uint64_t high = 0;  // bytes 8 to 15
};

// SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012): a hash for tables whose keys
// an adversary chooses. Pure.
std::uint64_t siphash_2_4(SipHashKey key, std::span<const std::byte> bytes);

}  // namespace tlsmux::engine::message
