#pragma once

// One stream's socket as the kernel has it: what has been written at each end and not read at the other.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tlsmux::simulation {

struct StreamPipe {
  std::uint64_t stream = 0;    // its number in the ledger
  bool tells_hang_up = true;   // a UNIX socket; else TCP
  bool is_decided = false;     // whether it has a session to itself, and how its messages are framed
  std::size_t room_bytes = 0;  // in each direction

  std::vector<std::byte> up;  // from the process
  std::size_t down = 0;       // bytes for the process; the ledger has read them

  bool process_finished = false;  // it writes no more
  bool process_closed = false;
  bool is_reset = false;  // and left bytes unread
  bool engine_closed = false;
};

}  // namespace tlsmux::simulation
