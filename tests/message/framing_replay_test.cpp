// Random streams, always the same ones: most lengths true, some bent. The fuzz target searches further.
#include <doctest/doctest.h>

#include <random>

#include "config/framing_presets.hpp"
#include "tests/message/framing_check.hpp"
#include "tests/message/framing_reference.hpp"

using namespace tlsmux;

namespace {

test::Bytes random_stream(const config::FramingSettings& settings, std::mt19937_64& random) {
  test::Bytes stream;
  for (auto left = 1 + random() % 12; left > 0; --left) {
    test::Bytes message(random() % 10 == 0 ? 0 : 1 + random() % settings.message_bytes_max);
    for (auto& byte : message) byte = static_cast<std::byte>(random());
    const bool goes_on = !settings.more_after_length.empty() && random() % 3 == 0;
    auto frame = test::frame_by_reference(settings, message, goes_on);
    // Something control_mask may allow.
    const auto after_length = settings.before_length.size() + settings.length_bytes;
    for (std::size_t i = 0; i < settings.control_mask.size() && random() % 3 == 0; ++i) {
      frame[after_length + i] |= static_cast<std::byte>(settings.control_value[i]);
    }
    if (random() % 20 == 0) frame[random() % frame.size()] ^= static_cast<std::byte>(1U << random() % 8);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  if (random() % 2 == 0) stream.resize(stream.size() - random() % stream.size());
  return stream;
}

}  // namespace

TEST_CASE("framing.random streams in random pieces come out as from the reference") {
  for (std::uint64_t seed = 1; seed <= 10'000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto settings = test::random_framing(random);
    const auto difference = test::compare_with_reference(settings, random_stream(settings, random), seed);
    if (!difference.empty()) FAIL(difference);
  }
}

TEST_CASE("framing.random messages come back as they were, in every preset and many other layouts") {
  for (const auto& preset : config::framing_presets()) {
    if (!config::cuts_messages(preset.settings.kind)) continue;
    CAPTURE(preset.name);
    auto settings = preset.settings;
    settings.message_bytes_max = 90;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      CAPTURE(seed);
      const auto difference = test::check_round_trip(settings, seed);
      if (!difference.empty()) FAIL(difference);
    }
  }
  for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto difference = test::check_round_trip(test::random_framing(random), seed);
    if (!difference.empty()) FAIL(difference);
  }
}

TEST_CASE("framing.inputs of the fuzz target replay without a difference") {
  for (std::uint64_t seed = 1; seed <= 5'000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<std::uint8_t> data(16 + random() % 200);
    // Digits and small numbers, so that some lengths make sense.
    const bool digits = random() % 2 == 0;
    for (auto& byte : data) byte = static_cast<std::uint8_t>(digits ? '0' + random() % 10 : random() % 4);
    for (std::size_t i = 0; i < 16; ++i) data[i] = static_cast<std::uint8_t>(random());
    const auto difference = test::check_framing_case(data);
    if (!difference.empty()) FAIL(difference);
  }
}
