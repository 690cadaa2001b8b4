#pragma once

#include <expected>

#include "shm/system/system_error.hpp"

namespace tlsmux::engine {

// Keeps all memory of this process, and all that it will map, from being swapped out: each page from when it is first
// used. Whole, since keys and messages lie in the heap, in buffers and in clients' memory, which other processes have
// mapped, too. Only without a limit (RLIMIT_MEMLOCK, or CAP_IPC_LOCK): with one, what is mapped later would fail. EPERM: there is one;
// the error says what to set. For the process alone, not for what it forks.
std::expected<void, shm::SystemError> lock_memory();

}  // namespace tlsmux::engine
