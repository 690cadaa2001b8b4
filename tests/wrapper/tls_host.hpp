#pragma once

// A host on OpenSSL, on loopback: what a program talks to whose connection is not shared.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/tls/certificates.hpp"
#include "tests/wrapper/loopback_listener.hpp"

namespace tlsmux::test {

struct TlsHostSettings {
  int version = TLS1_3_VERSION;  // this only
  std::string suite{};           // empty: OpenSSL's choice
  std::string protocol{};        // of ALPN
  bool waits = false;            // at the gate, before a handshake
};

class TlsHost {
 public:
  // `chain`: sent behind the identity. All outlive it. `gate` as in play().
  TlsHost(const Identity& identity, const std::vector<const Identity*>& chain, const TlsHostSettings& settings,
          std::vector<std::string> script, int gate);
  TlsHost(const TlsHost&) = delete;
  TlsHost& operator=(const TlsHost&) = delete;
  ~TlsHost();

  [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
  [[nodiscard]] int connections() const { return connections_; }
  // Of these have ended their handshake.
  [[nodiscard]] int handshakes() const { return handshakes_; }

 private:
  void serve();

  LoopbackListener listener_;
  SslContextHandle context_;
  std::string protocol_;
  bool waits_;
  std::vector<std::string> script_;
  int gate_;
  std::atomic<int> connections_ = 0;
  std::atomic<int> handshakes_ = 0;
  std::thread thread_;
};

}  // namespace tlsmux::test
