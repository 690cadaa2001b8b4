#pragma once

// What a process leaves behind that is killed at any one of its system calls.

#include <sys/types.h>

#include <functional>

namespace tlsmux::test {

// Runs `run` in a child of the calling thread that is stopped at its system calls, as each begins and ends, and killed at
// the stop of that number, after `look`. Stops of which `counts` is false of the child are not counted. False: it ended
// before.
bool run_and_kill(
    int stop, const std::function<void()>& run, const std::function<void()>& look,
    const std::function<bool(pid_t)>& counts = [](pid_t) { return true; });

// True when the test cannot run, having said so.
bool skip_without_ptrace();

}  // namespace tlsmux::test
