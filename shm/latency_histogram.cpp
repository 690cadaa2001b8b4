#include "shm/latency_histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "shm/assert.hpp"

namespace tlsmux::shm {
namespace {

constexpr unsigned kFirstOctave = 6;
constexpr unsigned kBitsPerOctave = 4;
constexpr std::size_t kBucketsPerOctave = 1U << kBitsPerOctave;
constexpr std::size_t kOctaves = kHistogramBuckets / kBucketsPerOctave;
constexpr std::uint64_t kShortestNs = 1ULL << kFirstOctave;
constexpr std::uint64_t kLongestNs = (1ULL << (kFirstOctave + kOctaves)) - 1;

static_assert(kOctaves * kBucketsPerOctave == kHistogramBuckets);

}  // namespace

std::size_t bucket_of(std::uint64_t ns) {
  ns = std::clamp(ns, kShortestNs, kLongestNs);
  const auto octave = static_cast<unsigned>(std::bit_width(ns)) - 1;
  const auto within = (ns >> (octave - kBitsPerOctave)) % kBucketsPerOctave;
  return (octave - kFirstOctave) * kBucketsPerOctave + within;
}

std::uint64_t upper_bound_ns(std::size_t bucket) {
  TMX_ASSERT(bucket < kHistogramBuckets);
  const auto octave = kFirstOctave + bucket / kBucketsPerOctave;
  const auto within = bucket % kBucketsPerOctave;
  const auto next_bucket_starts = (kBucketsPerOctave + within + 1) << (octave - kBitsPerOctave);
  return next_bucket_starts - 1;
}

std::uint64_t percentile(std::span<const std::uint64_t, kHistogramBuckets> counts, double q) {
  const auto total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (total == 0) return 0;
  const double share = std::clamp(q, 0.0, 1.0);
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total)));
  const auto rank = std::clamp<std::uint64_t>(wanted, 1, total);
  std::uint64_t passed = 0;
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    passed += counts[bucket];
    if (passed >= rank) return upper_bound_ns(bucket);
  }
  return kLongestNs;  // only if a writer changed the counters meanwhile
}

void merge(std::span<std::uint64_t, kHistogramBuckets> into, std::span<const std::uint64_t, kHistogramBuckets> from) {
  for (std::size_t bucket = 0; bucket < into.size(); ++bucket) into[bucket] += from[bucket];
}

}  // namespace tlsmux::shm
