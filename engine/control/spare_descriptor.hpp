#pragma once

// A descriptor to give up when there are no more, so that who waits at a listener is turned away at once.

#include <chrono>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

class SpareDescriptor {
 public:
  // For how long a listener is not looked at when even turning away fails. Connections wait in its backlog meanwhile, and
  // whoever watches it level-triggered would find it ready again and again.
  static constexpr std::chrono::milliseconds kPause{50};

  SpareDescriptor() { renew(); }

  // Makes it again if it is lost and one is free.
  void renew();
  // Accepts the connection that waits and closes it. False: that failed, too. Another thread may have taken what was given
  // up, or the limit is below what is open, or the kernel has no memory.
  bool turn_away(int listener);

 private:
  shm::UniqueFd fd_;
};

}  // namespace tlsmux::engine::control
