#pragma once

// How error texts show what somebody wrote: short, on one line, without control characters.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tlsmux::config {

// The text with control characters as \u00XX, and its end replaced by "..." beyond 80 bytes. Valid UTF-8
// stays so.
std::string printable(std::string_view text);

// The same in double quotes.
std::string in_quotes(std::string_view text);

// "a", "b" or "c"
std::string one_of(std::span<const std::string_view> words);

// The word that differs from `text` in the fewest characters, if it is near enough to be a slip of the pen.
std::optional<std::string_view> nearest(std::string_view text, std::span<const std::string_view> words);

// `did you mean "x"?` if one is near, else `give "a", "b" or "c"`.
std::string suggestion(std::string_view text, std::span<const std::string_view> words);

}  // namespace tlsmux::config
