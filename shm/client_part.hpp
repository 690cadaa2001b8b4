#pragma once

// Writes the header of a client's part, and what its channels begin with.

#include <cstddef>
#include <cstdint>
#include <span>

#include "shm/geometry.hpp"
#include "shm/layout.hpp"

namespace tlsmux::shm {

// `memory` is fresh (all zero), page-aligned and geometry.total_bytes() long. The version is stored last, with release:
// a reader that finds it (acquire) sees the rest. Zeroed rings and slot words are as they shall be.
void format_client(std::span<std::byte> memory, const ClientGeometry& geometry, const BootId& boot_id,
                   std::uint64_t client_id);

// A channel that was closed as new, with both rings at their start, for the next to open it. Neither side uses it.
void reset_channel(std::span<std::byte> memory, const ClientGeometry& geometry, std::uint32_t channel);

}  // namespace tlsmux::shm
