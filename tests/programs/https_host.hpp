#pragma once

// An HTTPS host for programs: each path has a page of its own, and connections are kept alive as HTTP/1.1 and 1.0 say.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/tls/openssl_handles.hpp"
#include "tests/wrapper/loopback_listener.hpp"

namespace tlsmux::test {

class HttpsHost {
 public:
  // With server.pem; of TLS this version only (TLS1_2_VERSION, TLS1_3_VERSION). Nothing is resumed.
  explicit HttpsHost(int version);
  ~HttpsHost();
  HttpsHost(const HttpsHost&) = delete;
  HttpsHost& operator=(const HttpsHost&) = delete;

  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
  [[nodiscard]] std::size_t handshakes() const { return handshakes_; }

  static std::string page(std::string_view path);

 private:
  struct Connection {
    shm::UniqueFd socket;
    std::jthread thread{};
  };

  void accept_all();
  void serve(int socket);

  LoopbackListener listener_;
  SslContextHandle context_;
  std::atomic<std::size_t> handshakes_ = 0;
  std::list<Connection> connections_;  // of the thread below, while it runs
  std::jthread acceptor_;
};

}  // namespace tlsmux::test
