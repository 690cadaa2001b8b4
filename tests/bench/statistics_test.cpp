#include "bench/statistics.hpp"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "tests/support/seed.hpp"

using namespace tlsmux::bench;

TEST_CASE("client.bench finds medians") {
  CHECK(median({}) == 0);
  CHECK(median({3}) == 3);
  CHECK(median({9, 1, 5}) == 5);
  CHECK(median({4, 1, 2, 9}) == 3);
}

TEST_CASE("client.bench finds percentiles by nearest rank") {
  std::vector<std::uint32_t> values;
  CHECK(percentile(values, 0.5) == 0);
  for (std::uint32_t i = 1; i <= 1000; ++i) values.push_back(i);
  CHECK(percentile(values, 0.5) == 500);
  CHECK(percentile(values, 0.99) == 990);
  CHECK(percentile(values, 0.999) == 999);
  CHECK(percentile(values, 1) == 1000);
  CHECK(percentile(values, 0) == 1);
  CHECK(percentile(std::span(values).first(1), 0.999) == 1);
}

TEST_CASE("client.bench pairs what was measured together") {
  CHECK(paired_ratios({2, 9, 5}, {1, 3, 0}) == std::vector<double>{2, 3});
  CHECK(paired_ratios({2, 4}, {2}) == std::vector<double>{1});
}

TEST_CASE("client.bench gives the same interval for the same ratios, with the median in it") {
  const std::vector<double> ratios = {0.9, 1.3, 1.1, 1.0, 1.2, 1.05, 0.95};
  const auto interval = bootstrap_median(ratios);
  CHECK(interval.middle == 1.05);
  CHECK(interval.low <= interval.middle);
  CHECK(interval.middle <= interval.high);
  CHECK(interval.low >= 0.9);
  CHECK(interval.high <= 1.3);
  const auto again = bootstrap_median(ratios);
  CHECK(again.low == interval.low);
  CHECK(again.high == interval.high);
}

TEST_CASE("client.bench gives the range of too few ratios, and nothing of none") {
  const auto two = bootstrap_median({3, 1});
  CHECK(two.low == 1);
  CHECK(two.middle == 2);
  CHECK(two.high == 3);
  CHECK(bootstrap_median({}).high == 0);
}

TEST_CASE("client.bench gives intervals that nearly always hold the true median") {
  std::mt19937_64 random(tlsmux::test::seed());
  std::lognormal_distribution<double> ratio(0, 0.3);  // of median 1
  int holds = 0;
  constexpr int kRuns = 300;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> ratios(15);
    for (auto& one : ratios) one = ratio(random);
    const auto interval = bootstrap_median(ratios);
    holds += interval.low <= 1 && 1 <= interval.high ? 1 : 0;
  }
  CHECK(holds > kRuns * 85 / 100);  // 95 % in the long run
}
