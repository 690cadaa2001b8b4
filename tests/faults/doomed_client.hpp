#pragma once

// A client that goes as far as it is told, says so, and waits to be killed.

#include <sys/types.h>

#include <memory>
#include <string>

#include "config/config.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"

namespace tlsmux::test {

enum class Point {
  connected,     // to the control socket
  asked,         // to attach; the reply is not read
  offered,       // has the memory, has not mapped it
  mapped,        // has not said so
  acknowledged,  // has said so, and has not read that it is served
  attached,
  channel_asked,  // the reply is not read
  channel_open,
  reserved,   // has written into a slot that it has not submitted
  queued,     // on the upstream "hole"
  in_flight,  // on the upstream "sink"
  answered,   // holds an answer of the upstream "acquirer"
};

class DoomedClient {
 public:
  // Returns once it is there.
  DoomedClient(const config::Config& config, Point point);
  void kill();

 private:
  shm::UniqueFd reading_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace tlsmux::test
