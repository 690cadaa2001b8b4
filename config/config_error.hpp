#pragma once

// What is wrong with a configuration, where, and what would be right.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::config {

struct ConfigError {
  std::string pointer;       // JSON pointer (RFC 6901), e.g. /upstreams/0/tls/ca_file; empty: the file as a whole
  std::string message;       // printable, one line
  std::uint32_t line = 0;    // from 1, where the text is not JSON; 0: the pointer says where
  std::uint32_t column = 0;  // from 1, in bytes; 0: unknown
};

using ConfigErrors = std::vector<ConfigError>;

// One line for each error: `FILE: POINTER: message`, or `FILE:LINE:COLUMN: message` where the text is not
// JSON.
std::string format_errors(std::string_view path, std::span<const ConfigError> errors);

}  // namespace tlsmux::config
