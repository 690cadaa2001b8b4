#include "tests/support/skip.hpp"

#include <atomic>
#include <cstdio>

namespace tlsmux::test {
namespace {

std::atomic<bool> is_something_skipped = false;

}  // namespace

void skip(std::string_view why) {
  is_something_skipped = true;
  std::printf("SKIPPED: %.*s\n", static_cast<int>(why.size()), why.data());
  std::fflush(stdout);
}

bool has_skipped() { return is_something_skipped; }

bool skip_under_sanitizer([[maybe_unused]] std::string_view why) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(why);
  return true;
#else
  return false;
#endif
}

}  // namespace tlsmux::test
