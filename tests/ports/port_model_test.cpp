#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <string>

#include "tests/ports/port_model.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;

TEST_CASE("ports.model: whatever happens, a port has one owner, is not given out while it is held, and comes back") {
  constexpr int kWorlds = 40;
  constexpr int kSteps = 1000;
  std::map<std::string, std::uint64_t> happened;
  for (int world = 0; world < kWorlds; ++world) {
    test::PortModel model(test::seed() + static_cast<std::uint64_t>(world));
    int step = 0;
    while (step < kSteps && model.step()) ++step;
    const bool is_clean = step == kSteps && model.end();
    INFO("TLSMUX_SEED=", test::seed(), ", world ", world, ", step ", step, ": ", model.failure());
    REQUIRE(is_clean);
    for (const auto& [what, times] : model.happened()) happened[what] += times;
  }
  // It says something only if all of it has happened.
  for (const std::string what : {"granted", "bound", "in use", "released", "leased", "lease taken", "lease returned",
                                 "lease of a dead engine taken", "died", "bound without a claim", "bind seen", "swept",
                                 "replanned", "restarted"}) {
    CAPTURE(what);
    CHECK(happened[what] > 5);
  }
}
