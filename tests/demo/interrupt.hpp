#pragma once

// Ctrl-C and SIGTERM as an exception, thrown where the demo waits, so that everything is taken down in order.

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::demo {

class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

class Interrupt {
 public:
  // From here on SIGINT, SIGTERM and SIGHUP are blocked in this process, and SIGPIPE is ignored.
  Interrupt();

  // Waits so long. Throws Interrupted when one of the signals comes, or has come.
  void pause(std::chrono::milliseconds duration) const;

  // Waits until the condition, looked at every few milliseconds, is true. Throws std::runtime_error with `what` when
  // it does not become so within half a minute.
  void wait_until(const std::function<bool()>& condition, const std::string& what) const;

 private:
  shm::UniqueFd signals_;
};

}  // namespace tlsmux::demo
