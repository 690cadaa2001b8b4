#pragma once

// What lies in the memory of a process, as root may see it; see proc_pid_smaps(5).

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::test {

struct MappedRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string access;  // "rw-p"
  std::string name;    // empty: anonymous
  std::string flags;   // VmFlags, each followed by a blank

  [[nodiscard]] std::uint64_t bytes() const { return end - begin; }
  [[nodiscard]] bool has(std::string_view flag) const {
    return flags.find(std::string(flag) + " ") != std::string::npos;
  }
};

// A user that nobody else is at the same time: the kernel counts the locked memory of rings by user.
uid_t user_of_this_process();

std::vector<MappedRange> mapped_ranges(pid_t pid);

// The value of a line of /proc/PID/status, such as "VmLck", in KiB.
std::uint64_t status_kib(pid_t pid, const std::string& key);

// How often `bytes` stand in the readable memory of the process, or in its ranges of that name.
std::size_t count_in_memory(pid_t pid, std::string_view bytes, std::string_view name = {});

}  // namespace tlsmux::test
