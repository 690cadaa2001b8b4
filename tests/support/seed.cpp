#include "tests/support/seed.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>

namespace tlsmux::test {
namespace {

std::uint64_t choose_seed() {
  const char* text = std::getenv("TLSMUX_SEED");
  if (text == nullptr || *text == '\0') {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
  }
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 0);
  if (*end != '\0') {
    std::fprintf(stderr, "TLSMUX_SEED=\"%s\" is not a number\n", text);
    std::exit(2);
  }
  return value;
}

}  // namespace

std::uint64_t seed() {
  static const std::uint64_t chosen = choose_seed();
  return chosen;
}

}  // namespace tlsmux::test
