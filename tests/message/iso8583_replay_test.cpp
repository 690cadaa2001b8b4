// Random messages, always the same ones, most of them whole. The fuzz target searches further.
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "tests/message/iso8583_check.hpp"

using namespace tlsmux;

TEST_CASE("iso8583.random messages, whole, bent and cut, are read without a contradiction") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    const auto difference = test::random_iso8583_case(seed);
    if (!difference.empty()) FAIL(difference);
  }
}

TEST_CASE("iso8583.inputs of the fuzz target replay without a contradiction") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<std::uint8_t> data(random() % 300);
    // Digits, so that some message types, bitmaps and lengths make sense.
    const bool digits = random() % 2 == 0;
    for (auto& byte : data) byte = static_cast<std::uint8_t>(digits ? '0' + random() % 10 : random() % 10);
    if (!data.empty()) data[0] = static_cast<std::uint8_t>(random());
    const auto difference = test::check_iso8583_case(data);
    if (!difference.empty()) FAIL(difference);
  }
}
