#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::test {

// Each check returns nothing if all is well, else what is not.

// Feeds `stream` to a FrameCutter in pieces of random sizes that follow from `split_seed`, and compares what comes out
// with the reference.
std::string compare_with_reference(const config::FramingSettings& settings, std::span<const std::byte> stream,
                                   std::uint64_t split_seed);

// Random messages that follow from `seed`, framed by Framing, must be as the reference frames them, and come out of a
// FrameCutter as they went in; those that may not be sent excepted.
std::string check_round_trip(const config::FramingSettings& settings, std::uint64_t seed);

// A preset, bare or with something around the messages, or any combination of settings that config_check lets pass.
config::FramingSettings random_framing(std::mt19937_64& random);

// Any bytes make a case: the first sixteen choose settings and seed, the rest is the stream. Also does a round trip.
std::string check_framing_case(std::span<const std::uint8_t> data);

}  // namespace tlsmux::test
