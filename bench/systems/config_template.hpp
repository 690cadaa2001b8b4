#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tlsmux::bench {

// The text with each @NAME@ replaced by what belongs to that name.
inline std::string fill_in(std::string text, const std::vector<std::pair<std::string_view, std::string>>& values) {
  for (const auto& [name, value] : values) {
    const auto mark = "@" + std::string(name) + "@";
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size())) {
      text.replace(at, mark.size(), value);
    }
  }
  return text;
}

}  // namespace tlsmux::bench
