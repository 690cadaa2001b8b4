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

struct SignedRange {
  std::int64_t min = 0;
  std::int64_t max = 0;
};

enum class TextKind : std::uint8_t {
  name,                   // of a group or upstream; becomes part of a POSIX shared memory object's name
  host,                   // host name or literal address
  address,                // literal
  user,                   // name or numeric uid
  unix_group,             // name or numeric gid
  path,                   // absolute
  socket_path,            // absolute, and short enough for sun_path
  pin,                    // of a host's key, as in RFC 7469
  alpn,                   // a protocol's name, RFC 7301
  tls_name,               // of a cipher suite or key exchange group
  iso8583_spec,           // name of one of ours, or an absolute path
  mti,                    // of an ISO 8583 message: four digits
  mti_start,              // its first digits
  processing_code_start,  // the first digits of field 3
  digit_map,              // what each of the ten digits becomes
  digit_set,
  port_label,     // of a port: what may stand in a line of /etc/services
  program,        // as in /proc/PID/comm
  address_range,  // literal, or with a prefix length
  name_pattern,   // server name, or "*." and what names end in
};

enum class Presence : std::uint8_t {
  required,      // the key must be there, and not empty
  has_default,   // if there, not empty
  may_be_empty,  // an empty text means the same as no key
};

// "a whole number between 1 and 9"
std::string expected_number(Range range);
std::string expected_number(SignedRange range);
// "an absolute path"
std::string_view expected_text(TextKind kind);

Problem number_problem(std::uint64_t value, Range range);
Problem number_problem(std::int64_t value, SignedRange range);
// `count` entries in a list, or bytes in a run.
Problem count_problem(std::uint64_t count, Range range, std::string_view of_what);
Problem text_problem(TextKind kind, Presence presence, std::string_view text);
// The value of a field in a message that the engine makes or looks at; may hold placeholders.
Problem field_value_problem(std::string_view text);

}  // namespace tlsmux::config
