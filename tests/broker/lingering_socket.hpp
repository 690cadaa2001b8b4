#pragma once

// A TCP socket whose last close lasts as long as its owner has said: it has sent what its other end has no room for and will never read.

#include <cstddef>
#include <span>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

class LingeringSocket {
 public:
  LingeringSocket();

  // In a SEQPACKET message. If true, the last descriptor of it is in there from now on: who may read that must not run, as the last
  // close would be here.
  [[nodiscard]] bool send_with_a_message(int through, std::span<const std::byte> message) &&;

 private:
  shm::UniqueFd socket_;
  shm::UniqueFd other_end_;
};

}  // namespace tlsmux::test
