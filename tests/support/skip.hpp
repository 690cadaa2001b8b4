#pragma once

// A test that cannot run here.

#include <string_view>

namespace tlsmux::test {

// What a test program ends with when it is asked to tell and no check failed; CMake's SKIP_RETURN_CODE.
inline constexpr int kSkippedCode = 77;

// Prints "SKIPPED:" and why, and remembers that; who calls it returns, or leaves a part out. ctest then counts the test as skipped,
// unless a check failed. In the test's own process, not in a child of it.
void skip(std::string_view why);
bool has_skipped();
// The same in a build with AddressSanitizer or ThreadSanitizer, and true then.
bool skip_under_sanitizer(std::string_view why);

}  // namespace tlsmux::test
