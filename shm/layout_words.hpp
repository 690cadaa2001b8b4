#pragma once

// What the tables of layout.hpp and port_layout.hpp are made of.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/limits.hpp"

namespace tlsmux::shm {

inline constexpr std::size_t kCacheLineBytes = 64;

using Name = std::array<char, config::kNameBytesMax + 1>;  // zero-terminated
using Text = std::array<char, 240>;

// Rows are read while they are written: `sequence` is odd during a write, and a reader retries (see row.hpp).
using RowSequence = std::atomic<std::uint32_t>;

}  // namespace tlsmux::shm
