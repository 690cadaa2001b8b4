#pragma once

// What the kernel says about the memory of a process, in KiB.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tlsmux::demo {

// Memory that belongs to no file: heap, stacks, changed data. Of the calling process, or of another one; 0 if that is
// gone.
std::uint64_t anonymous_kb(pid_t pid = 0);

struct SegmentMemory {
  std::uint64_t client_kb = 0;        // the client's own part: rings and slots
  std::uint64_t group_kb = 0;         // the group's part, which all clients map
  std::uint64_t proportional_kb = 0;  // of both, each page shared out among those that have it mapped ("Pss")
};

// What of the segment a client has mapped. Nothing if the process is gone or not attached.
std::optional<SegmentMemory> segment_memory(pid_t pid, const std::string& group);

}  // namespace tlsmux::demo
