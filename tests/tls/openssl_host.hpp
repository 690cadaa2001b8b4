// A TLS host on OpenSSL, as bytes in and bytes out.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/tls/certificates.hpp"
#include "tests/tls/openssl_handles.hpp"

namespace tlsmux::test {

struct HostSettings {
  int version_min = TLS1_2_VERSION;
  int version_max = TLS1_3_VERSION;
  std::string suites_1_2{};  // OpenSSL's names; empty: its defaults
  std::string suites_1_3{};
  std::string groups{};
  const Authority* client_authority = nullptr;  // then a client certificate is demanded
  unsigned long options = 0;                    // SSL_OP_...
  std::string server_name{};                    // then any other SNI, or none, is refused
  const Authority* intermediate = nullptr;      // shown behind the host's certificate
  std::string protocol{};                       // of ALPN; then a client that offers others only is refused
};

// Makes connections with common certificates and tickets. Keeps the lines that OpenSSL would write into a key log.
class OpenSslHost {
 public:
  OpenSslHost(const Identity& identity, const HostSettings& settings = {});
  OpenSslHost(const OpenSslHost&) = delete;  // OpenSSL points to it
  OpenSslHost& operator=(const OpenSslHost&) = delete;

  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }
  [[nodiscard]] const std::string& key_log() const { return key_log_; }
  // Of the last connection; empty: none came.
  [[nodiscard]] const std::string& received_server_name() const { return received_server_name_; }

 private:
  static int check_server_name(SSL* ssl, int* alert, void* host);
  static int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size,
                             const unsigned char* offered, unsigned int offered_size, void* host);

  SslContextHandle context_;
  std::string wanted_server_name_;
  std::string protocol_;
  std::string received_server_name_;
  std::string key_log_;
};

class OpenSslConnection {
 public:
  explicit OpenSslConnection(OpenSslHost& host);
  // Either end; a client begins with feed({}).
  enum class Side { client, host };
  OpenSslConnection(SSL_CTX* context, Side side);

  // Feeds what came from the other end and goes on with the handshake or reads: what was read is appended to received().
  void feed(std::span<const std::byte> bytes);
  // What is to be sent to the other end since the last call.
  std::vector<std::byte> take_output();

  void write(std::string_view text);
  // Any record, in the state of this connection.
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  [[nodiscard]] const std::string& received() const { return received_; }
  // And forgets it.
  std::string take_received() { return std::exchange(received_, {}); }
  [[nodiscard]] bool closed_by_client() const { return closed_; }
  [[nodiscard]] bool failed() const { return failed_; }
  // OpenSSL's words for it.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }
  [[nodiscard]] bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }

 private:
  SslHandle ssl_;
  BIO* in_ = nullptr;  // the SSL's
  BIO* out_ = nullptr;
  std::string received_;
  bool closed_ = false;
  bool failed_ = false;
  std::string last_error_;
};

}  // namespace tlsmux::test
