#pragma once

// A text that is handed to another process whole: a memfd that nobody can change any more.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::shm {

std::expected<UniqueFd, SystemError> make_sealed_text(std::string_view text);

// EPERM when it can still be changed, EFBIG when it is longer than `bytes_max`.
std::expected<std::string, SystemError> read_sealed_text(int fd, std::size_t bytes_max);

}  // namespace tlsmux::shm
