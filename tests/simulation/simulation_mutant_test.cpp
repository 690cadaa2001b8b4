// The same engine with one deliberate bug at a time, which the simulation must find.
#include <doctest/doctest.h>

#include <cinttypes>
#include <cstdio>
#include <optional>
#include <string>

#include "shm/deliberate_bug.hpp"
#include "tests/simulation/world.hpp"

// Some sources of the engine are compiled for this program alone, see CMakeLists.txt.
tlsmux::DeliberateBug tlsmux::deliberate_bug = tlsmux::DeliberateBug::none;

using namespace tlsmux;

namespace {

constexpr std::uint64_t kRunsMax = 5000;
// Always the same worlds: in others some of these bugs meet an assertion of the engine first, and that ends the program.
constexpr std::uint64_t kFirstSeed = 77;

std::optional<std::string> find_violation(std::uint64_t seed, std::uint64_t worlds_per_real_one) {
  try {
    static_cast<void>(simulation::World(seed, false, worlds_per_real_one).run());
  } catch (const simulation::Violation& violation) {
    return violation.what();
  }
  return std::nullopt;
}

void must_find(DeliberateBug bug, std::uint64_t worlds_per_real_one = simulation::kWorldsPerRealOne) {
  deliberate_bug = bug;
  std::optional<std::string> violation;
  std::uint64_t runs = 0;
  for (; !violation && runs < kRunsMax; ++runs) violation = find_violation(kFirstSeed + runs, worlds_per_real_one);
  REQUIRE(violation.has_value());
  // The seed alone replays it.
  CHECK(find_violation(kFirstSeed + runs - 1, worlds_per_real_one) == violation);
  std::printf("found after %" PRIu64 " runs: %s\n", runs, violation->c_str());
}

}  // namespace

TEST_CASE("simulation.finds the deliberate bug judge_by_sealed") { must_find(DeliberateBug::judge_by_sealed); }
TEST_CASE("simulation.finds the deliberate bug judge_early") { must_find(DeliberateBug::judge_early); }
TEST_CASE("simulation.finds the deliberate bug forgive_first_byte") { must_find(DeliberateBug::forgive_first_byte); }
TEST_CASE("simulation.finds the deliberate bug send_withdrawn") { must_find(DeliberateBug::send_withdrawn); }
TEST_CASE("simulation.finds the deliberate bug answer_half") { must_find(DeliberateBug::answer_half); }
TEST_CASE("simulation.finds the deliberate bug answer_twice") { must_find(DeliberateBug::answer_twice); }
TEST_CASE("simulation.finds the deliberate bug forget_settlement") { must_find(DeliberateBug::forget_settlement); }
TEST_CASE("simulation.finds the deliberate bug orphan_twice") { must_find(DeliberateBug::orphan_twice); }
TEST_CASE("simulation.finds the deliberate bug keep_key") { must_find(DeliberateBug::keep_key); }
TEST_CASE("simulation.finds the deliberate bug free_key_early") { must_find(DeliberateBug::free_key_early); }
TEST_CASE("simulation.finds the deliberate bug lend_slot_twice") { must_find(DeliberateBug::lend_slot_twice); }
TEST_CASE("simulation.finds the deliberate bug exceed_queue") { must_find(DeliberateBug::exceed_queue); }
TEST_CASE("simulation.finds the deliberate bug give_back_owed") { must_find(DeliberateBug::give_back_owed); }
TEST_CASE("simulation.finds the deliberate bug keep_lease") { must_find(DeliberateBug::keep_lease); }
TEST_CASE("simulation.finds the deliberate bug forget_resume") { must_find(DeliberateBug::forget_resume); }
TEST_CASE("simulation.finds the deliberate bug miss_key_update") { must_find(DeliberateBug::miss_key_update, 1); }
