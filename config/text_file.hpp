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

}  // namespace tlsmux::config
