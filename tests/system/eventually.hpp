#pragma once

// Waiting for what only shows by looking: a table in shared memory, a file of the kernel's.

#include <poll.h>

#include <chrono>

namespace tlsmux::test {

inline constexpr std::chrono::seconds kPatience{30};  // only ever used up by a failure

// Whether `condition` becomes true in time. It is looked at every few milliseconds.
template <typename Condition>
bool eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

}  // namespace tlsmux::test
