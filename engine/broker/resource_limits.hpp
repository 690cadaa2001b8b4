#pragma once

// The limits of the kernel that a big engine runs into first: open files, and memory locked for io_uring's buffers and
// for keys. Raised as far as the process may; what is still too low is logged with what to set.

#include <cstdint>

#include "config/config.hpp"
#include "engine/log/log.hpp"

namespace tlsmux::engine::broker {

// Descriptors that an engine with this configuration holds when all its clients are there, or its broker.
std::uint64_t descriptors_needed(const config::Config& config);

// For this process and those it forks.
void raise_limits(const config::Config& config, Log& log);

}  // namespace tlsmux::engine::broker
