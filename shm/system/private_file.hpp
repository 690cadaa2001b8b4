#pragma once

// Small files by which a process tells a later one what it must know.

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "shm/system/system_error.hpp"

namespace tlsmux::shm {

// Nothing: there is no such file. EBADMSG: what is there is a link or no regular file, is not this user's, others may
// write it, or it is longer than so many bytes.
std::expected<std::optional<std::string>, SystemError> read_private_file(const std::string& path,
                                                                         std::size_t bytes_max);

// On the disk, whole, when it returns; on any failure what was there before still is. No link is followed. Its folder
// must exist; a file PATH.new in it is overwritten.
std::expected<void, SystemError> replace_file(const std::string& path, std::string_view bytes,
                                              mode_t mode = S_IRUSR | S_IWUSR);

}  // namespace tlsmux::shm
