#pragma once

// A timerfd on the monotonic clock: readable from the time it was last set to until it is set again.

#include <cstdint>
#include <expected>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::client {

std::expected<shm::UniqueFd, shm::SystemError> make_timer();
// kNever stops it. A time that is over makes it readable at once.
void set_timer(int timer, std::int64_t when_ns);

}  // namespace tlsmux::client
