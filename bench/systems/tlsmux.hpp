#pragma once

#include <memory>

#include "bench/systems/system.hpp"

namespace tlsmux::bench {

// An engine as it is configured without a thought (idle_strategy balanced), and one that looks longer before it
// sleeps (latency), with clients that do so too.
std::unique_ptr<System> make_tlsmux();
std::unique_ptr<System> make_tlsmux_latency();
// The first without its confinement.
std::unique_ptr<System> make_tlsmux_unconfined();
// The first as another build has it, with that build's clients.
std::unique_ptr<System> make_tlsmux_other();

}  // namespace tlsmux::bench
