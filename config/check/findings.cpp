#include "config/check/findings.hpp"

#include <algorithm>

#include "config/json/json_pointer.hpp"

namespace tlsmux::config {

void Findings::add(const std::string& pointer, std::string message, std::initializer_list<std::string> concluded_from) {
  if (in_doubt(pointer) || std::ranges::any_of(concluded_from, [this](const auto& other) { return in_doubt(other); })) {
    return;
  }
  errors_.push_back({.pointer = pointer, .message = std::move(message)});
}

bool Findings::in_doubt(const std::string& pointer) const {
  return std::ranges::any_of(earlier_,
                             [&pointer](const ConfigError& error) { return same_or_nested(error.pointer, pointer); });
}

}  // namespace tlsmux::config
