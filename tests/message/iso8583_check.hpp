#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tlsmux::test {

// Any bytes make a case: the first two choose specification, header and key, the rest is a message. Walks it, takes its
// key, compares it with a template's expectations and answers it, and holds the results against each other and against
// those for the message's beginnings. Empty if all agree, else what does not.
std::string check_iso8583_case(std::span<const std::uint8_t> data);

// A case whose message is whole: `seed` chooses all of it.
std::string random_iso8583_case(std::uint64_t seed);

}  // namespace tlsmux::test
