// Random streams, always the same ones: most lengths true, some bent. The fuzz target searches further.
#include <doctest/doctest.h>

#include <random>

#include "engine/message/framing.hpp"
#include "tests/message/framing_check.hpp"

using namespace tlsmux;

namespace {

config::FramingSettings random_settings(std::mt19937_64& random) {
  config::FramingSettings settings;
  const bool ascii = random() % 2 == 0;
  settings.length_encoding = ascii ? config::LengthEncoding::ascii : config::LengthEncoding::binary_be;
  settings.length_bytes = static_cast<std::uint32_t>(2 + random() % 7);
  settings.length_includes_itself = random() % 2 == 0;
  settings.message_bytes_max = static_cast<std::uint32_t>(1 + random() % 97);
  return settings;
}

std::vector<std::byte> random_stream(const config::FramingSettings& settings, std::mt19937_64& random) {
  const engine::message::Framing framing(settings);
  std::vector<std::byte> stream;
  for (auto left = 1 + random() % 12; left > 0; --left) {
    const auto message_bytes = 1 + random() % settings.message_bytes_max;
    std::vector<std::byte> frame(framing.header_bytes() + message_bytes);
    for (auto& byte : frame) byte = static_cast<std::byte>(random());
    framing.write_header(std::span(frame).first(framing.header_bytes()), message_bytes);
    if (random() % 20 == 0) frame[random() % framing.header_bytes()] ^= static_cast<std::byte>(1U << random() % 8);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  if (random() % 2 == 0) stream.resize(stream.size() - random() % stream.size());
  return stream;
}

}  // namespace

TEST_CASE("framing.random streams in random pieces come out as from the reference") {
  for (std::uint64_t seed = 1; seed <= 5000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto settings = random_settings(random);
    const auto stream = random_stream(settings, random);
    const auto difference = test::compare_with_reference(settings, stream, seed);
    if (!difference.empty()) FAIL(difference);
  }
}

TEST_CASE("framing.inputs of the fuzz target replay without a difference") {
  for (std::uint64_t seed = 1; seed <= 5000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<std::uint8_t> data(random() % 200);
    // Digits and small numbers, so that some lengths make sense.
    const bool digits = random() % 2 == 0;
    for (auto& byte : data) byte = static_cast<std::uint8_t>(digits ? '0' + random() % 10 : random() % 4);
    for (std::size_t i = 0; i < data.size() && i < 12; ++i) data[i] = static_cast<std::uint8_t>(random());
    const auto difference = test::check_framing_case(data);
    if (!difference.empty()) FAIL(difference);
  }
}
