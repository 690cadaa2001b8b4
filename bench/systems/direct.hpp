#pragma once

#include <memory>

#include "bench/systems/system.hpp"

namespace tlsmux::bench {

// Each program has a TLS connection of its own.
std::unique_ptr<System> make_direct_openssl();
std::unique_ptr<System> make_direct_mbedtls();

}  // namespace tlsmux::bench
