#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace tlsmux::test {

// Feeds `stream` to a FrameCutter in pieces of random sizes that follow from `split_seed`, and compares what comes out
// with a reference that reads the whole stream at once. Empty if all is equal, else what differs.
std::string compare_with_reference(const config::FramingSettings& settings, std::span<const std::byte> stream,
                                   std::uint64_t split_seed);

// Any bytes make a case: the first twelve choose settings and seed, the rest is the stream.
std::string check_framing_case(std::span<const std::uint8_t> data);

}  // namespace tlsmux::test
