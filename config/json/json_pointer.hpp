#pragma once

// JSON pointers (RFC 6901) as the places of errors. What they are made of is made printable on the way.

#include <cstddef>
#include <string>
#include <string_view>

namespace tlsmux::config {

std::string pointer_to(std::string_view parent, std::string_view key);
std::string pointer_to(std::string_view parent, std::size_t index);

// Whether one of the two is the other, or lies within it.
bool same_or_nested(std::string_view a, std::string_view b);

}  // namespace tlsmux::config
