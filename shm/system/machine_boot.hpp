#pragma once

// Which boot of the machine this is.

#include <expected>
#include <string>

#include "shm/system/system_error.hpp"

namespace tlsmux::shm {

// Another text for each boot, without a line's end. Pids, inodes and CLOCK_MONOTONIC mean something in their own only.
std::expected<std::string, SystemError> machine_boot_id();

}  // namespace tlsmux::shm
