#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace tlsmux::bench {
namespace {

constexpr std::size_t kResamples = 4000;
constexpr double kTail = 0.025;
constexpr std::uint64_t kSeed = 1;  // the same ratios, the same interval

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::uint32_t percentile(std::span<const std::uint32_t> ascending, double fraction) {
  if (ascending.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(ascending.size())));
  return ascending[std::clamp<std::size_t>(rank, 1, ascending.size()) - 1];
}

Interval bootstrap_median(const std::vector<double>& ratios) {
  if (ratios.empty()) return {};
  if (ratios.size() < 3) {
    const auto [least, most] = std::ranges::minmax(ratios);
    return {.low = least, .middle = median(ratios), .high = most};
  }
  std::mt19937_64 random(kSeed);
  std::uniform_int_distribution<std::size_t> choose(0, ratios.size() - 1);
  std::vector<double> medians(kResamples);
  std::vector<double> drawn(ratios.size());
  for (auto& middle : medians) {
    for (auto& ratio : drawn) ratio = ratios[choose(random)];
    middle = median(drawn);
  }
  std::ranges::sort(medians);
  const auto tail = static_cast<std::size_t>(kTail * kResamples);
  return {.low = medians[tail], .middle = median(ratios), .high = medians[kResamples - 1 - tail]};
}

std::vector<double> paired_ratios(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (b[i] > 0) ratios.push_back(a[i] / b[i]);
  }
  return ratios;
}

}  // namespace tlsmux::bench
