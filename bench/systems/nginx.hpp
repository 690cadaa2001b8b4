#pragma once

#include <memory>

#include "bench/systems/system.hpp"

namespace tlsmux::bench {

// bench/README.md says why its settings are what they are.
std::unique_ptr<System> make_nginx();

}  // namespace tlsmux::bench
