#pragma once

// Whether a descriptor is readable, without sleeping.

#include <cstdint>

namespace tlsmux::client {

[[nodiscard]] bool is_readable(int descriptor);

// Looks until it is, or the time has come: to be woken takes longer than most of an engine's answers while attaching.
// For a time that is over it does not look at all.
bool look_until_readable(int descriptor, std::int64_t until_ns);

}  // namespace tlsmux::client
