#pragma once

// The limits of the kernel that a big engine runs into first: open files, and memory locked for io_uring's buffers and
// for keys. Raised as far as the process may. Too few open files are logged with what to set; whether its memory is
// locked, which takes no limit where CAP_IPC_LOCK is, only an engine knows (memory_lock).

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "config/config.hpp"
#include "engine/log/log.hpp"

namespace tlsmux::engine::broker {

// Descriptors that an engine with this configuration holds when all its clients are there, or its broker.
std::uint64_t descriptors_needed(const config::Config& config);

// As far as this process may: how many open files it may have then.
std::uint64_t raise_limits(std::uint64_t open_files);

// What to set where there are not as many.
std::string advice_for_open_files(std::uint64_t needed);

// For this process and those it forks; and for an engine that runs already, which may not do that itself. 0: none does.
void raise_limits(const config::Config& config, Log& log, pid_t engine = 0);

}  // namespace tlsmux::engine::broker
