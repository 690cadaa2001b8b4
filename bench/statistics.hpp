#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tlsmux::bench {

// The middle one; of an even number the mean of the two in the middle. 0 of none.
double median(std::vector<double> values);

// The smallest value that is not exceeded by `fraction` of all (nearest rank), of values in ascending order. 0 of none.
std::uint32_t percentile(std::span<const std::uint32_t> ascending, double fraction);

struct Interval {
  double low = 0;
  double middle = 0;
  double high = 0;
};

// The median of the ratios, with the 95 % confidence interval that the percentile bootstrap gives: the spread of the
// medians of samples drawn from the ratios with replacement (B. Efron, R. Tibshirani, An Introduction to the Bootstrap,
// 1993, chapter 13). The same ratios give the same interval. With fewer than three the interval is their range.
Interval bootstrap_median(const std::vector<double>& ratios);

// a[i] / b[i], as far as both reach; where b[i] is 0 there is none.
std::vector<double> paired_ratios(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace tlsmux::bench
