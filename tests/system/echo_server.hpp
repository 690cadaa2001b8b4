#pragma once

// `openssl s_server` as a host that is not ours: what it decrypts goes through `cat` and back, so that every byte of a
// connection comes back, over one connection at a time.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tlsmux::test {

class EchoServer {
 public:
  // With server.pem, at a port of the kernel's choice. Returns once it listens.
  explicit EchoServer(const std::vector<std::string>& arguments);
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  pid_t server_ = -1;
  pid_t cat_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace tlsmux::test
