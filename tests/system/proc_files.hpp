#pragma once

// What /proc tells about a process; see proc(5).

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace tlsmux::test {

// When it was started; an exec does not change that, but no other process has the same pid and the same start.
std::string start_time(pid_t pid);
// The pids of its children, in text; empty if it has none.
std::string children_of(pid_t pid);
// How many mappings it has whose names hold `name`.
std::size_t count_mappings(pid_t pid, const std::string& name);
// Whether each of its threads waits for something.
bool is_asleep(pid_t pid);
// SIGSTOP, and waits until each of its threads stands still.
void stop_process(pid_t pid);

}  // namespace tlsmux::test
