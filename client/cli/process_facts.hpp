#pragma once

// What /proc says of a process.

#include <cstdint>
#include <optional>
#include <string_view>

namespace tlsmux::client::cli {

// 0: there is no such process, or it has no parent that can be seen.
std::uint32_t parent_of(std::uint32_t pid);

enum class ProcessSight : std::uint8_t { gone, stopped, there };

// Whether there is such a process, and whether a signal or a debugger has stopped it. A dead one that nobody has waited for is gone.
ProcessSight sight_of(std::uint32_t pid);
// "gone", "stopped", "there"
std::string_view name_of(ProcessSight sight);

// Whether a file of that name is mapped into it. False also where this user may not look.
bool has_library(std::uint32_t pid, std::string_view file_name);

// Whether both are in the same network namespace; nothing: this user may not look, or one of them is gone.
std::optional<bool> share_network(std::uint32_t pid, std::uint32_t other);

// The process that a command acts for which this one was started by: its parent, or, where that is a subshell, which may
// end at once, the shell that has forked it.
std::uint32_t asking_process();

}  // namespace tlsmux::client::cli
