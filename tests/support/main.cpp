// The main function of every doctest program: says the seed first, so that a failure can be repeated. With --tell-skipped, which
// ctest gives, its exit code says when a test was skipped, see skip.hpp.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <sys/stat.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <span>
#include <string_view>

#include "tests/support/seed.hpp"
#include "tests/support/skip.hpp"

int main(int argc, char** argv) {
  ::umask(022);  // tlsmuxd takes no file or folder that decides anything and that others may change
  doctest::Context context(argc, argv);
  context.setOption("no-intro", true);
  std::printf("[doctest] repeat with TLSMUX_SEED=%" PRIu64 "\n", tlsmux::test::seed());
  std::fflush(stdout);
  const int code = context.run();
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  const bool tells = std::ranges::count(arguments, std::string_view("--tell-skipped")) > 0;
  return code == 0 && tells && tlsmux::test::has_skipped() ? tlsmux::test::kSkippedCode : code;
}
