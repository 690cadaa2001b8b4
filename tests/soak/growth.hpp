#pragma once

// Whether a series of figures, taken one after the other at quiet moments, grows steadily.

#include <cstddef>
#include <span>

namespace tlsmux::soak {

// Fewer figures say nothing.
inline constexpr std::size_t kFiguresMin = 9;

struct Trend {
  bool is_judged = false;
  bool grows = false;
  double first = 0;  // the median of each third
  double middle = 0;
  double last = 0;
};

// It grows if the last third lies more than `tolerance` above the first, each third lies above the one before by a
// sixth of that, and the order of the figures is not chance: one step, as when a program has warmed up, is no growth, nor is
// what goes up and down. The last is the test by Mann and Kendall (M. G. Kendall, Rank Correlation Methods, 1975) at 1 %.
Trend judge(std::span<const double> figures, double tolerance);

}  // namespace tlsmux::soak
