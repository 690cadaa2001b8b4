// The desk for ports in worlds of chance; TLSMUX_SEED and TLSMUX_SIMULATION_SEEDS as in simulation_test.cpp, so without them
// always the same.
#include <doctest/doctest.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "shm/deliberate_bug.hpp"
#include "tests/simulation/port_life.hpp"
#include "tests/support/seed.hpp"

// Of which one source is compiled for this program alone, see CMakeLists.txt.
tlsmux::DeliberateBug tlsmux::deliberate_bug = tlsmux::DeliberateBug::none;

using namespace tlsmux;
using simulation::PortLife;

namespace {

constexpr std::uint64_t kRuns = 1000;
// Always the same worlds: in others a bug may meet an assertion first, which ends the program.
constexpr std::uint64_t kFirstSeedWithBug = 5;

std::uint64_t count_of_runs() {
  if (const char* const text = std::getenv("TLSMUX_SIMULATION_SEEDS")) return std::strtoull(text, nullptr, 0);
  return std::getenv("TLSMUX_SEED") != nullptr ? 1 : kRuns;
}

std::uint64_t first_seed() {
  const bool is_told = std::getenv("TLSMUX_SEED") != nullptr || std::getenv("TLSMUX_SIMULATION_SEEDS") != nullptr;
  return is_told ? test::seed() : 1;
}

std::optional<std::string> find_violation(std::uint64_t seed) {
  try {
    PortLife(seed).run();
  } catch (const simulation::Violation& violation) {
    return violation.what();
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("simulation.no port is owned twice or lost, whoever dies") {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto runs = count_of_runs();
  const auto first = first_seed();
  PortLife::Counts done{};
  for (std::uint64_t i = 0; i < runs; ++i) {
    const auto seed = first + i;
    INFO("replay: TLSMUX_SEED=" << seed << " " << program);
    try {
      const auto counts = PortLife(seed).run();
      for (std::size_t act = 0; act < done.size(); ++act) done[act] += counts[act];
    } catch (const simulation::Violation& violation) {
      FAIL(std::string(violation.what()));
    }
  }
  for (std::size_t act = 0; act < done.size(); ++act) {
    std::printf("act %zu: %" PRIu64 "\n", act, done[act]);
    if (runs >= kRuns) CHECK(done[act] > 0);
  }
}

TEST_CASE("simulation.finds deliberate bugs in what becomes of released ports") {
  for (const auto bug :
       {DeliberateBug::release_at_once, DeliberateBug::never_release, DeliberateBug::release_foreign}) {
    CAPTURE(static_cast<int>(bug));
    deliberate_bug = bug;
    std::optional<std::string> violation;
    std::uint64_t runs = 0;
    for (; !violation && runs < kRuns; ++runs) violation = find_violation(kFirstSeedWithBug + runs);
    deliberate_bug = DeliberateBug::none;
    REQUIRE(violation.has_value());
    std::printf("bug %d found after %" PRIu64 " runs: %s\n", static_cast<int>(bug), runs, violation->c_str());
  }
}
