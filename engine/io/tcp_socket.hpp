#pragma once

// TCP sockets to hosts, before they are connected. None of these calls waits for the network.

#include <sys/socket.h>

#include <expected>

#include "engine/mux/address.hpp"
#include "engine/mux/seams.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::io {

// As the kernel wants it. Returns how many bytes of `storage` it takes.
socklen_t fill_address(const mux::Address& from, sockaddr_storage& storage);

// A blocking socket, as io_uring wants it: with O_NONBLOCK it would hand EAGAIN back instead of waiting. Bound to the
// source address and port if there are any. The errno of what failed.
std::expected<shm::UniqueFd, int> open_socket(mux::AddressFamily family, const mux::ConnectOptions& options);

}  // namespace tlsmux::engine::io
