#pragma once

// Latencies counted in 512 buckets of fixed bounds, 16 to each power of two of nanoseconds, from 2^6 to 2^38 ns (64 ns
// to 274.9 s). Pure functions over plain counters; the layout is part of the segment (UpstreamRow::latency).
//
//   bucket = 16 * (e - 6) + ((ns >> (e - 4)) mod 16),  where e is the position of the highest set bit of ns
//
// The four bits below the highest choose the bucket within its power of two, so a bucket is 1/16 as wide as the power
// of two where it lies: a bound exceeds what was measured by 6.25 % at the most. What is shorter than 64 ns counts in
// bucket 0, what is longer than 274.9 s in bucket 511.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "shm/layout.hpp"

namespace tlsmux::shm {

using LatencyCounts = std::array<std::uint64_t, kHistogramBuckets>;

std::size_t bucket_of(std::uint64_t ns);

// The largest latency that belongs in this bucket. Requires bucket < kHistogramBuckets.
std::uint64_t upper_bound_ns(std::size_t bucket);

// The bound below or at which the share `q` of the counted latencies lies (nearest rank). q is held to [0, 1]; 0 when
// nothing was counted.
std::uint64_t percentile(std::span<const std::uint64_t, kHistogramBuckets> counts, double q);

void merge(std::span<std::uint64_t, kHistogramBuckets> into, std::span<const std::uint64_t, kHistogramBuckets> from);

}  // namespace tlsmux::shm
