#include "engine/shard/trace_ranges.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::engine {
namespace {

// Of ranges in order, no two of which touch: the widest gap that is to be filled so that not too many are left.
std::uint32_t widest_to_fill(const std::vector<TraceRange>& ranges) {
  if (ranges.size() <= kTraceRangesMax) return 0;
  std::vector<std::uint32_t> gaps;
  for (std::size_t i = 1; i < ranges.size(); ++i) gaps.push_back(ranges[i].first - ranges[i - 1].last);
  const auto last_filled = gaps.begin() + static_cast<std::ptrdiff_t>(ranges.size() - kTraceRangesMax - 1);
  std::ranges::nth_element(gaps, last_filled);
  return *last_filled;
}

std::vector<TraceRange> join(const std::vector<TraceRange>& ranges, std::uint32_t gap) {
  std::vector<TraceRange> joined;
  for (const auto& range : ranges) {
    TMX_ASSERT(range.first <= range.last);
    if (!joined.empty() && (range.first <= joined.back().last || range.first - joined.back().last <= gap)) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

}  // namespace

PackedTraceRanges pack(std::vector<TraceRange> ranges) {
  std::ranges::sort(ranges, {}, &TraceRange::first);
  ranges = join(ranges, 1);
  ranges = join(ranges, widest_to_fill(ranges));
  PackedTraceRanges packed{.count = static_cast<std::uint32_t>(ranges.size())};
  std::ranges::copy(ranges, packed.ranges.begin());
  return packed;
}

bool is_sound(const PackedTraceRanges& packed) {
  return packed.count <= kTraceRangesMax &&
         std::ranges::all_of(packed.all(), [](const TraceRange& range) { return range.first <= range.last; });
}

bool is_sound(const TraceHolds& holds) { return is_sound(holds.all) && is_sound(holds.kept); }

}  // namespace tlsmux::engine
