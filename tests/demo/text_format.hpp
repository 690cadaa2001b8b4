#pragma once

// Numbers and columns for people.

#include <cstdint>
#include <string>
#include <string_view>

namespace tlsmux::demo {

std::string thousands(std::uint64_t number);         // "12,345"
std::string decimal(double number, int digits = 1);  // "12.3"
std::string left_aligned(std::string_view text, std::size_t width);
std::string right_aligned(std::string_view text, std::size_t width);

}  // namespace tlsmux::demo
