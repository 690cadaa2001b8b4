// Any bytes as a services file: groups that come back as they went, or errors that are printable.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ports/services/services_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  const auto groups = tlsmux::ports::parse_services(text);
  if (!groups) {
    if (groups.error().empty()) std::abort();
    for (const auto& error : groups.error()) {
      for (const char character : error.message) {
        if (static_cast<unsigned char>(character) < 0x20) std::abort();
      }
      if (error.line == 0 || error.column == 0) std::abort();
    }
    return 0;
  }
  const std::string written = tlsmux::ports::format_services(*groups);
  const auto again = tlsmux::ports::parse_services(written);
  if (!again || tlsmux::ports::format_services(*again) != written) std::abort();
  return 0;
}
