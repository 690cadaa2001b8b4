#pragma once

// The trace numbers of an upstream that clients may still have in their leases, as few ranges. It may be too many, and
// is never too few: a number in them is not to be leased to anyone else.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace tlsmux::engine {

struct TraceRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

// What the broker keeps of an upstream, and a packet bears.
inline constexpr std::uint32_t kTraceRangesMax = 32;

struct PackedTraceRanges {
  std::uint32_t count = 0;
  std::array<TraceRange, kTraceRangesMax> ranges{};

  [[nodiscard]] std::span<const TraceRange> all() const { return std::span(ranges).first(count); }
};

// The same numbers in order, no two ranges touching, at most kTraceRangesMax: beyond that the smallest gaps are filled.
// Requires first <= last of each.
PackedTraceRanges pack(std::vector<TraceRange> ranges);

// What clients may have of an upstream's numbers, or may still use.
struct TraceHolds {
  PackedTraceRanges all{};
  // Those of them that were leased in an earlier round than the present one, and may have been used in this one.
  PackedTraceRanges kept{};
};

// From a packet: counts and each range are possible.
bool is_sound(const PackedTraceRanges& packed);
bool is_sound(const TraceHolds& holds);

}  // namespace tlsmux::engine
