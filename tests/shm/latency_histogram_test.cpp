#include "shm/latency_histogram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/seed.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

// Latencies as they are: most short, some long, over all the decades that a host's answers span.
std::vector<std::uint64_t> random_latencies(std::mt19937_64& random, std::size_t count) {
  std::lognormal_distribution<double> typical(std::log(2e6), 1.5);
  std::uniform_real_distribution<double> any_decade(std::log(64.0), std::log(2e11));
  std::vector<std::uint64_t> latencies(count);
  for (auto& ns : latencies) {
    const double value = random() % 4 == 0 ? std::exp(any_decade(random)) : typical(random);
    ns = static_cast<std::uint64_t>(std::clamp(value, 64.0, 2.7e11));
  }
  return latencies;
}

LatencyCounts count(const std::vector<std::uint64_t>& latencies) {
  LatencyCounts counts{};
  for (const auto ns : latencies) ++counts[bucket_of(ns)];
  return counts;
}

// Nearest rank.
std::uint64_t exact_percentile(std::vector<std::uint64_t> latencies, double q) {
  const auto rank = std::max(std::ceil(q * static_cast<double>(latencies.size())), 1.0);
  const auto place = latencies.begin() + (static_cast<std::ptrdiff_t>(rank) - 1);
  std::ranges::nth_element(latencies, place);
  return *place;
}

}  // namespace

TEST_CASE("segment.latency buckets have the published bounds") {
  CHECK(bucket_of(0) == 0);
  CHECK(bucket_of(64) == 0);
  CHECK(bucket_of(67) == 0);
  CHECK(bucket_of(68) == 1);
  CHECK(bucket_of(127) == 15);
  CHECK(bucket_of(128) == 16);
  CHECK(bucket_of(1'000) == 63);       // 992 to 1023
  CHECK(bucket_of(1'000'000) == 222);  // 983,040 to 1,015,807
  CHECK(bucket_of(30'000'000'000) == 459);
  CHECK(bucket_of((1ULL << 38) - 1) == 511);
  CHECK(bucket_of(1ULL << 38) == 511);
  CHECK(bucket_of(std::numeric_limits<std::uint64_t>::max()) == 511);
  CHECK(upper_bound_ns(0) == 67);
  CHECK(upper_bound_ns(63) == 1'023);
  CHECK(upper_bound_ns(222) == 1'015'807);
  CHECK(upper_bound_ns(511) == (1ULL << 38) - 1);
}

TEST_CASE("segment.latency buckets follow each other without gap or overlap") {
  for (std::size_t bucket = 0; bucket < kHistogramBuckets; ++bucket) {
    CAPTURE(bucket);
    const auto last = upper_bound_ns(bucket);
    REQUIRE(bucket_of(last) == bucket);
    if (bucket + 1 < kHistogramBuckets) REQUIRE(bucket_of(last + 1) == bucket + 1);
    const auto first = bucket == 0 ? 64 : upper_bound_ns(bucket - 1) + 1;
    REQUIRE(bucket_of(first) == bucket);
    REQUIRE(static_cast<double>(last) <= static_cast<double>(first) * 1.0625);
  }
}

TEST_CASE("segment.latency percentiles are at most a sixteenth above the exact ones") {
  std::mt19937_64 random(test::seed());
  for (const std::size_t size : {1UL, 2UL, 10UL, 999UL, 100'000UL}) {
    const auto latencies = random_latencies(random, size);
    const auto counts = count(latencies);
    for (const double q : {0.0, 0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      CAPTURE(size);
      CAPTURE(q);
      const auto exact = exact_percentile(latencies, q);
      const auto bound = percentile(counts, q);
      CHECK(bound >= exact);
      CHECK(static_cast<double>(bound) <= static_cast<double>(exact) * 1.0625);
    }
  }
}

TEST_CASE("segment.latency percentile of nothing is nothing and q is held to its range") {
  LatencyCounts counts{};
  CHECK(percentile(counts, 0.5) == 0);
  counts[5] = 3;
  counts[9] = 1;
  CHECK(percentile(counts, -1.0) == upper_bound_ns(5));
  CHECK(percentile(counts, 0.75) == upper_bound_ns(5));
  CHECK(percentile(counts, 0.76) == upper_bound_ns(9));
  CHECK(percentile(counts, 7.0) == upper_bound_ns(9));
}

TEST_CASE("segment.latency histograms merged are the histogram of all") {
  std::mt19937_64 random(test::seed());
  const auto some = random_latencies(random, 1000);
  const auto others = random_latencies(random, 500);
  auto all = some;
  all.insert(all.end(), others.begin(), others.end());
  auto merged = count(some);
  merge(merged, count(others));
  CHECK(merged == count(all));
}
