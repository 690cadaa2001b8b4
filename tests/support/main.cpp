// The main function of every doctest program: says the seed first, so that a failure can be repeated.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cinttypes>
#include <cstdio>

#include "tests/support/seed.hpp"

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  context.setOption("no-intro", true);
  std::printf("[doctest] repeat with TLSMUX_SEED=%" PRIu64 "\n", tlsmux::test::seed());
  std::fflush(stdout);
  return context.run();
}
