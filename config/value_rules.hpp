#pragma once

// The rules for single values, one function for each kind. Each returns what is wrong and what would be
// right, in words that can follow "/the/pointer: ", or nothing.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tlsmux::config {

using Problem = std::optional<std::string>;

struct Range {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
};

enum class TextKind : std::uint8_t {
  name,         // of a group or upstream; becomes part of a POSIX shared memory object's name
  host,         // host name or literal address
  user,         // name or numeric uid
  unix_group,   // name or numeric gid
  path,         // absolute
  socket_path,  // absolute, and short enough for sun_path
};

enum class Presence : std::uint8_t {
  required,      // the key must be there, and not empty
  has_default,   // if there, not empty
  may_be_empty,  // an empty text means the same as no key
};

// "a whole number between 1 and 9"
std::string expected_number(Range range);
// "an absolute path"
std::string_view expected_text(TextKind kind);

Problem number_problem(std::uint64_t value, Range range);
// `count` entries in a list, or bytes in a run.
Problem count_problem(std::uint64_t count, Range range, std::string_view of_what);
Problem text_problem(TextKind kind, Presence presence, std::string_view text);

}  // namespace tlsmux::config
