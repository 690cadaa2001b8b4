#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

namespace tlsmux::config {

// What is in the file; else why not, in words that can follow its path, such as "cannot be read: ...". A file that is
// larger than `bytes_max` can hardly be a `what`. Blocks on the file system.
std::expected<std::string, std::string> read_text_file(const std::string& path, std::size_t bytes_max,
                                                       std::string_view what);

// The same of a regular file that nobody may change but root and the user that calls this, since others would then be able to do what
// `what_changers_may` says.
std::expected<std::string, std::string> read_trusted_text_file(const std::string& path, std::size_t bytes_max,
                                                               std::string_view what,
                                                               const std::string& what_changers_may);

}  // namespace tlsmux::config
