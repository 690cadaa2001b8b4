#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/system/unique_fd.hpp"
#include "tests/host/framing.hpp"
#include "tests/host/tls_context.hpp"

namespace tlsmux::host {

struct FreeSslSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using SslSession = std::unique_ptr<SSL_SESSION, FreeSslSession>;

struct ClientOptions {
  TlsVersion version = TlsVersion::any;
  std::string certificate_file = {};  // of the client; empty: none
  std::string key_file = {};
  std::vector<std::string> alpn = {};
  std::string groups = {};  // OpenSSL names
  Framing framing = {};
  SSL_SESSION* session = nullptr;  // to resume
  int handshake_seconds = 30;      // how long it may take
  std::string greeting = {};       // bytes sent before the handshake, which spoil it
  bool refuses_renegotiation = false;
};

// A TCP connection to 127.0.0.1 on which nothing is said.
class PlainConnection {
 public:
  explicit PlainConnection(std::uint16_t port);

 private:
  shm::UniqueFd socket_;
};

enum class End : std::uint8_t { close_notify, reset, cut };

// A blocking TLS client on OpenSSL that trusts ca.pem and expects the name "localhost". Nothing waits longer
// than half a minute. Failures throw std::runtime_error unless a function says otherwise.
class TestClient {
 public:
  // Connects to 127.0.0.1 and shakes hands.
  explicit TestClient(std::uint16_t port, const ClientOptions& options = {});

  [[nodiscard]] const SSL* ssl() const { return ssl_.get(); }

  void send_frame(std::string_view body) { send(framed(body)); }
  void send(std::string_view bytes);
  // Sends as much of `bytes` as the host takes while nothing is read, and returns how much that was.
  std::size_t send_until_refused(std::string_view bytes);
  [[nodiscard]] std::string framed(std::string_view body) const;

  // The body of the next message, put together if it came in several frames; a keep-alive is an empty one.
  // nullopt at the end of the connection.
  std::optional<std::string> receive_frame();
  // The raw bytes not taken by receive_frame(), at least `least`.
  std::string receive_bytes(std::size_t least);

  // How the host ended the connection; what comes before that is thrown away.
  End await_end();
  [[nodiscard]] SslSession session() const { return SslSession(SSL_get1_session(ssl_.get())); }

  void close_notify();

 private:
  bool receive();
  End classify_end(int result);

  Framing framing_;
  SslContext context_;
  shm::UniqueFd socket_;
  Ssl ssl_;
  std::string input_;
  std::optional<End> end_;
};

}  // namespace tlsmux::host
