#include "client/cli/time_text.hpp"

#include <time.h>

#include <array>

namespace tlsmux::client::cli {

std::string clock_text(std::int64_t at_s, const char* format) {
  const auto at = static_cast<time_t>(at_s);
  tm parts{};
  ::localtime_r(&at, &parts);
  std::array<char, 32> text{};
  return {text.data(), ::strftime(text.data(), text.size(), format, &parts)};
}

std::string span_text(std::int64_t seconds) {
  if (seconds < 0) return "0 s";
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 7200) return std::to_string(seconds / 60) + " min";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
  return std::to_string(seconds / 86400) + " days";
}

}  // namespace tlsmux::client::cli
