#pragma once

// What a process has of what it could leak; see proc(5).

#include <sys/types.h>

#include <cstdint>

namespace tlsmux::soak {

struct ProcessFigures {
  std::uint64_t resident_kb = 0;
  std::uint64_t anonymous_kb = 0;  // of these, in no file: heap, stacks, buffers
  std::uint64_t locked_kb = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t threads = 0;
  std::uint64_t mappings = 0;
};

// All zero if there is no such process.
ProcessFigures figures_of(pid_t pid);

}  // namespace tlsmux::soak
