#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace tlsmux::shm {

// Overwrites with zeros. The statement behind might read them, for all the compiler knows: so it is no dead store.
inline void wipe(std::span<std::byte> bytes) noexcept {
  if (bytes.empty()) return;
  std::memset(bytes.data(), 0, bytes.size());
  __asm__ volatile("" : : "r"(bytes.data()) : "memory");
}

}  // namespace tlsmux::shm
