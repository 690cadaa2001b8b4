#include "tests/soak/growth.hpp"

#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/seed.hpp"

namespace tlsmux::soak {
namespace {

constexpr double kTolerance = 10;

// What `figure` gives for 0, 1, 2 and so on.
template <typename Figure>
std::vector<double> series(int count, Figure figure) {
  std::vector<double> figures;
  for (int i = 0; i < count; ++i) figures.push_back(figure(i));
  return figures;
}

bool grows(const std::vector<double>& figures) { return judge(figures, kTolerance).grows; }

}  // namespace

TEST_CASE("faults.growth is seen where each figure is a little more") {
  CHECK(grows(series(30, [](int i) { return 1000.0 + i; })));
  CHECK(grows(series(9, [](int i) { return 5.0 + 2.0 * i; })));
  CHECK(grows(series(30, [](int i) { return 40.0 + 2 * (i - i % 3) / 3.0; })));  // two more at a time
  const auto trend = judge(series(30, [](int i) { return double(i); }), kTolerance);
  CHECK(trend.is_judged);
  CHECK(trend.first == 4);
  CHECK(trend.middle == 14);
  CHECK(trend.last == 24);
}

TEST_CASE("faults.growth is seen under noise of its own size") {
  std::mt19937_64 random(test::seed());
  INFO("TLSMUX_SEED=", test::seed());
  std::uniform_real_distribution<double> noise(-10, 10);
  CHECK(grows(series(60, [&](int i) { return 1000 + i + noise(random); })));
}

TEST_CASE("faults.growth is not what a program does that warms up, or goes up and down") {
  CHECK_FALSE(grows(series(30, [](int) { return 77.0; })));
  CHECK_FALSE(grows(series(30, [](int i) { return i < 15 ? 100.0 : 200.0; })));          // one step
  CHECK_FALSE(grows(series(30, [](int i) { return i < 5 ? 100.0 + 30 * i : 250.0; })));  // fills up, then stays
  CHECK_FALSE(grows(series(30, [](int i) { return 100.0 + 50 * (i % 2); })));            // to and fro
  CHECK_FALSE(grows(series(30, [](int i) { return 1000.0 - 5 * i; })));                  // shrinks
  CHECK_FALSE(grows(series(30, [](int i) { return 100.0 + i * 0.3; })));                 // within what is tolerated
  CHECK_FALSE(grows(series(30, [](int i) { return i == 29 ? 9000.0 : i == 14 ? 800 : 5.0; })));  // single ones
}

TEST_CASE("faults.growth of a few figures is not judged") {
  const auto trend = judge(series(kFiguresMin - 1, [](int i) { return 100.0 * i; }), kTolerance);
  CHECK_FALSE(trend.is_judged);
  CHECK_FALSE(trend.grows);
}

}  // namespace tlsmux::soak
