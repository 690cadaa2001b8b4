#include "tests/soak/growth.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace tlsmux::soak {
namespace {

// Of an even number the lower of the two in the middle: where a step lies between them, one of its sides.
double median(std::span<const double> figures) {
  std::vector<double> sorted(figures.begin(), figures.end());
  std::ranges::sort(sorted);
  return sorted[(sorted.size() - 1) / 2];
}

// How far pairs in order outnumber the others, in standard deviations.
double mann_kendall(std::span<const double> figures) {
  double score = 0;
  std::map<double, double> equal;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    ++equal[figures[i]];
    for (std::size_t j = i + 1; j < figures.size(); ++j) {
      score += figures[j] > figures[i] ? 1 : figures[j] < figures[i] ? -1 : 0;
    }
  }
  const auto spread = [](double n) { return n * (n - 1) * (2 * n + 5) / 18; };
  double variance = spread(static_cast<double>(figures.size()));
  for (const auto& [figure, times] : equal) variance -= spread(times);
  return variance > 0 && score > 0 ? (score - 1) / std::sqrt(variance) : 0;
}

}  // namespace

Trend judge(std::span<const double> figures, double tolerance) {
  constexpr double kOnePercent = 2.326;  // of the normal distribution lies above
  Trend trend;
  if (figures.size() < kFiguresMin) return trend;
  const auto third = figures.size() / 3;
  trend.is_judged = true;
  trend.first = median(figures.first(third));
  trend.middle = median(figures.subspan(third, figures.size() - 2 * third));
  trend.last = median(figures.last(third));
  const double step = tolerance / 6;
  trend.grows = trend.last - trend.first > tolerance && trend.middle - trend.first > step &&
                trend.last - trend.middle > step && mann_kendall(figures) > kOnePercent;
  return trend;
}

}  // namespace tlsmux::soak
