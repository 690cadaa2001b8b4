#pragma once

// The engine's control socket, as a client finds it.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::client {

// Without `patience_ms` the socket does not block; with it, connecting and sending wait for so long at the most.
// ECONNREFUSED: no engine listens there; EAGAIN: more connect than it can take in.
std::expected<shm::UniqueFd, shm::SystemError> connect_to_engine(const std::string& control_socket,
                                                                 std::optional<std::uint32_t> patience_ms = {});

}  // namespace tlsmux::client
