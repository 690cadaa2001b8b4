#pragma once

// The two ends of a stream's socket.

#include <expected>

#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

struct StreamEnds {
  shm::UniqueFd engine;
  shm::UniqueFd process;
  bool tells_hang_up = true;  // as in OpenStream
};

// `may_refuse_descriptors`: the kernel lets sockets do so. Else the two are connected by TCP on loopback, which takes none:
// closing one that came with a message would keep the data loop for as long as its sender likes (linger_limit.hpp).
std::expected<StreamEnds, shm::SystemError> make_stream_ends(bool may_refuse_descriptors);

}  // namespace tlsmux::engine::control
