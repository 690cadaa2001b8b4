#pragma once

// What the tables of a dead engine say of a group's ports. It is hearsay: the desk checks it against the kernel.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ports/book/port_book.hpp"

namespace tlsmux::engine {

// The ports that were not free, and those that a label remembers, by the group's part of the dead engine or what a broker
// has kept of it. Rows that it died over, and what makes no sense, are left out; no entries at all of memory that is no
// group's part of this name and version. `wall_offset_s` added to a
// monotonic time in seconds gives seconds since 1970.
std::vector<ports::PortEntry> read_predecessor(std::span<const std::byte> part, std::string_view group,
                                               std::int64_t wall_offset_s);

}  // namespace tlsmux::engine
