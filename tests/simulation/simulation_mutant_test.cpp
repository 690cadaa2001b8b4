// The same engine with one deliberate bug (TLSMUX_MUTANT_NAME), which the simulation must find.
#include <doctest/doctest.h>

#include <cstdio>
#include <optional>
#include <string>

#include "tests/simulation/world.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;

namespace {

constexpr std::uint64_t kRunsMax = 5000;

std::optional<std::string> find_violation(std::uint64_t seed) {
  try {
    static_cast<void>(simulation::World(seed, false).run());
  } catch (const simulation::Violation& violation) {
    return violation.what();
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("simulation.finds the deliberate bug " TLSMUX_MUTANT_NAME) {
  std::optional<std::string> violation;
  std::uint64_t runs = 0;
  for (; !violation && runs < kRunsMax; ++runs) violation = find_violation(test::seed() + runs);
  REQUIRE(violation.has_value());
  std::printf("found after %d runs: %s\n", static_cast<int>(runs), violation->c_str());
}
