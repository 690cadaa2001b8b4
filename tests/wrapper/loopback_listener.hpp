#pragma once

// A TCP listener on loopback, and small things about sockets.

#include <sys/socket.h>

#include <cstdint>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

class LoopbackListener {
 public:
  // On 127.0.0.1 or ::1. 0: any port. Throws std::runtime_error.
  explicit LoopbackListener(int family = AF_INET, std::uint16_t port = 0);

  [[nodiscard]] std::uint16_t port() const { return port_; }
  // Empty: it was stopped.
  [[nodiscard]] shm::UniqueFd accept() const;
  // Any thread.
  void stop() const;

 private:
  shm::UniqueFd socket_;
  std::uint16_t port_ = 0;
};

// Of the other side.
std::uint16_t remote_port(int socket);
// What is sent before this is reset instead of ended in order.
void reset_on_close(int socket);
// Small parts are not gathered.
void send_at_once(int socket);
// Of this thread and those that it starts: OpenSSL writes to a connection whose other side has gone as to any.
void block_sigpipe();

}  // namespace tlsmux::test
