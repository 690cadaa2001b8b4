#pragma once

// A real redis-server: over TLS on loopback, without a file of its own, ended with the object.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "tests/broker/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::test {

class RedisServer {
 public:
  // Returns once it serves.
  RedisServer();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  // So far: it counts a connection when its handshake has ended.
  std::size_t handshakes();

 private:
  // By its UNIX socket; empty: it does not serve.
  std::string answer_to(const std::string& question);

  TemporaryFolder folder_;
  std::uint16_t port_ = 0;
  std::size_t asked_ = 0;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace tlsmux::test
