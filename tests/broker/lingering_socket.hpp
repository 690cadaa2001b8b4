#pragma once

// A TCP socket whose last close lasts as long as its owner has said: it has sent what its other end has no room for and will never read.

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

class LingeringSocket {
 public:
  LingeringSocket();

  // `send` puts the descriptor into a message. If it says true, the last one is in there from now on: who may read that must not run,
  // as the last close would be here.
  template <typename Send>
  [[nodiscard]] bool give_away(Send send) && {
    if (!send(socket_.get())) return false;
    socket_.reset();
    return true;
  }

 private:
  shm::UniqueFd socket_;
  shm::UniqueFd other_end_;
};

}  // namespace tlsmux::test
