// The one source of randomness of the tests.
#pragma once

#include <cstdint>

namespace tlsmux::test {

// The seed of this run: TLSMUX_SEED from the environment (decimal or 0x hexadecimal), else a random one.
// The same value on every call, from any thread. Ends the program with a message if TLSMUX_SEED is no number.
std::uint64_t seed();

}  // namespace tlsmux::test
