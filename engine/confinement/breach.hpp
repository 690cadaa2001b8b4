#pragma once

// What happens when a thread makes a call that its rules trap: a line in the log with the call's name, and abort().

#include <expected>
#include <string_view>

#include "shm/system/system_error.hpp"

namespace tlsmux::engine::confinement {

// From now on, in the whole process and in those that it forks. `log_output` stays open as long.
std::expected<void, shm::SystemError> watch_for_breaches(int log_output);

// What the lines call the calling thread; a text that lives for ever.
void name_this_thread(std::string_view name);

// A line of the same kind for a thread whose filter the kernel did not take, and abort().
[[noreturn]] void abort_unconfined(int error);

}  // namespace tlsmux::engine::confinement
