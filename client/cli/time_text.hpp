#pragma once

// Times for people.

#include <cstdint>
#include <string>

namespace tlsmux::client::cli {

// Local time of a moment in seconds since 1970; `format` as of strftime(3).
std::string clock_text(std::int64_t at_s, const char* format);

// "12 s", "7 min", "3 h 20 min", "41 days". What begins in this second may seem to lie ahead.
std::string span_text(std::int64_t seconds);

}  // namespace tlsmux::client::cli
