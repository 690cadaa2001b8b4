#pragma once

// A network namespace of one's own, for a benchmark that takes ports by the thousand.

#include <functional>
#include <string>

namespace tlsmux::bench {

// Runs it in a thread that is in a new network namespace, as are the processes that it starts; waits for it, and throws
// what it throws. The namespace ends with the last of them. An empty text, or why there can be none.
std::string run_in_own_network(const std::function<void()>& run);

}  // namespace tlsmux::bench
