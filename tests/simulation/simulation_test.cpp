// Runs the engine's own code in thousands of worlds, each out of one seed, and lets a reference model watch.
//
//   TLSMUX_SIMULATION_SEEDS=n  how many (the default takes seconds)
//   TLSMUX_SEED=n              the first of them; with TLSMUX_SIMULATION_SEEDS=1, that one alone
//   TLSMUX_SIMULATION_TRACE=1  prints what happens, step by step
#include <doctest/doctest.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "tests/simulation/world.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;
using simulation::Statistics;
using simulation::Violation;
using simulation::World;

namespace {

std::uint64_t number_in_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 0);
}

}  // namespace

TEST_CASE("simulation.every request ends in exactly one true outcome, whatever fails") {
  const auto seeds = number_in_environment("TLSMUX_SIMULATION_SEEDS", TLSMUX_SIMULATION_SEEDS_DEFAULT);
  const bool is_traced = number_in_environment("TLSMUX_SIMULATION_TRACE", 0) != 0;
  Statistics statistics;
  for (std::uint64_t i = 0; i < seeds; ++i) {
    const auto seed = test::seed() + i;
    try {
      statistics.add(World(seed, is_traced).run());
    } catch (const Violation& violation) {
      FAIL(std::string(violation.what()) << "\nreplay: TLSMUX_SEED=" << seed << " TLSMUX_SIMULATION_SEEDS=1"
                                         << " TLSMUX_SIMULATION_TRACE=1 simulation_test");
    }
  }
  std::printf("%" PRIu64 " runs, %" PRIu64 " steps, %" PRIu64 " engines, %" PRIu64 " clients, %" PRIu64
              " requests: answered=%" PRIu64 " not_sent=%" PRIu64 " maybe_sent=%" PRIu64 "\n",
              statistics.runs, statistics.steps, statistics.engines, statistics.clients, statistics.requests,
              statistics.told[1], statistics.told[2], statistics.told[3]);
  for (std::size_t i = 0; i < statistics.reasons.size(); ++i) {
    if (statistics.reasons[i] == 0) continue;
    std::printf("  %-30s %" PRIu64 "\n", shm::reason_name(static_cast<shm::Reason>(i)).data(), statistics.reasons[i]);
  }
  CHECK(statistics.runs == seeds);
}
