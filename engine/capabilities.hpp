#pragma once

// What the calling thread may do beyond its user's rights: capabilities(7). Numbers are those of linux/capability.h.

#include <cstdint>
#include <expected>

#include "shm/system/system_error.hpp"

namespace tlsmux::engine {

constexpr std::uint64_t capability_bit(int capability) { return std::uint64_t{1} << capability; }

// Those in effect, a bit each; none if the kernel does not say.
std::uint64_t capabilities_in_effect();

// Gives up all others, in all sets; of `kept` the thread keeps what it is permitted, in effect. Verified.
std::expected<void, shm::SystemError> keep_capabilities(std::uint64_t kept);

}  // namespace tlsmux::engine
