#pragma once

#include <expected>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

// A netlink socket that is connected to the kernel's sock_diag(7). Blocking.
std::expected<shm::UniqueFd, shm::SystemError> open_sock_diag();

}  // namespace tlsmux::ports
