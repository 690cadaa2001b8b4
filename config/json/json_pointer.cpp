#include "config/json/json_pointer.hpp"

#include "config/wording.hpp"

namespace tlsmux::config {

std::string pointer_to(std::string_view parent, std::string_view key) {
  std::string pointer(parent);
  pointer += '/';
  for (const char character : printable(key)) {
    if (character == '~') {
      pointer += "~0";  // RFC 6901 section 3
    } else if (character == '/') {
      pointer += "~1";
    } else {
      pointer += character;
    }
  }
  return pointer;
}

std::string pointer_to(std::string_view parent, std::size_t index) {
  return std::string(parent) + "/" + std::to_string(index);
}

bool same_or_nested(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) return same_or_nested(b, a);
  return b.starts_with(a) && (b.size() == a.size() || b[a.size()] == '/');
}

}  // namespace tlsmux::config
