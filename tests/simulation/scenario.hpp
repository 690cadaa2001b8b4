#pragma once

// What a run is about: groups, upstreams and limits, small enough that every limit is met.

#include "config/config.hpp"
#include "tests/simulation/random.hpp"

namespace tlsmux::simulation {

config::Config make_scenario(Random& random);

}  // namespace tlsmux::simulation
