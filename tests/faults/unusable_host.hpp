#pragma once

// Places that no session can be made to, and what everybody must learn about it.

#include <cstdint>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/system/engine_process.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::test {

// A port of 127.0.0.1 that is taken, but refuses connections.
class ClosedPort {
 public:
  ClosedPort();
  [[nodiscard]] std::uint16_t port() const { return port_; }

 protected:
  [[nodiscard]] int descriptor() const { return socket_.get(); }

 private:
  shm::UniqueFd socket_;
  std::uint16_t port_ = 0;
};

// A port of 127.0.0.1 whose queue of connections is full, so that the kernel drops each further SYN.
class BlackHole : public ClosedPort {
 public:
  BlackHole();

 private:
  std::vector<shm::UniqueFd> queued_;
};

// A request is NOT_SENT with this reason, and the client, the status and the log say `words`.
void check_not_sent(EngineProcess& engine, const config::Config& config, tmx_reason reason, std::string_view words);

}  // namespace tlsmux::test
