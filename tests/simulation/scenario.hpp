#pragma once

// What a run is about: groups, upstreams and limits, small enough that every limit is met.

#include "config/config.hpp"
#include "tests/simulation/random.hpp"

namespace tlsmux::simulation {

config::Config make_scenario(Random& random);

// Other settings that an engine which was started with `original` can change over to. Limits only rise over `present`:
// what was taken under them is there still.
config::UpstreamSettings make_change(Random& random, const config::UpstreamSettings& original,
                                     config::UpstreamSettings present);

// Of a fickle upstream, what only a restart can change: whether its sessions are leased, and how messages are framed.
void change_kind(Random& random, config::UpstreamSettings& present);

// The same for one that was made with keys: whether they tell, or order does.
void change_correlation(const config::UpstreamSettings& original, config::UpstreamSettings& present);

}  // namespace tlsmux::simulation
