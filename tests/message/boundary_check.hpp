#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace tlsmux::test {

// Any bytes make a case: the first chooses the framing, eight seed the cutting into pieces, the rest is what passes on
// the connection; each 0x01 turns the direction. In whatever pieces it passes, the boundary must say the same of it, and
// what it calls clean must take a next exchange as a fresh connection does. Returns nothing if all is well, else what is
// not.
std::string check_boundary_case(std::span<const std::uint8_t> data);

}  // namespace tlsmux::test
