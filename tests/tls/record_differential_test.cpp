#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "tests/support/seed.hpp"
#include "tests/tls/record_check.hpp"

namespace tlsmux::test {
namespace {

TEST_CASE("record.random streams of an odd host give the same here and in mbedTLS") {
  std::mt19937_64 random(seed());
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::uint8_t> data(1 + random() % 60);
    for (auto& byte : data) byte = static_cast<std::uint8_t>(random());
    const auto difference = check_record_case(data);
    CAPTURE(i);
    CAPTURE(difference);
    REQUIRE(difference.empty());
  }
}

}  // namespace
}  // namespace tlsmux::test
