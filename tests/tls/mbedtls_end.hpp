// mbedTLS alone, as either end of a session: bytes in, bytes out. After the handshake its records may be left to it, or
// taken over from state().
#pragma once

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tls/bio.hpp"
#include "engine/tls/handles.hpp"
#include "engine/tls/secret_bytes.hpp"
#include "engine/tls/session_state.hpp"
#include "tests/tls/record_rig.hpp"

namespace tlsmux::test {

class MbedtlsEnd {
 public:
  // With one suite. As a client it trusts the tests' authority, as a server it is kHostName.
  MbedtlsEnd(engine::tls::Role role, const VersionAndSuite& suite);
  MbedtlsEnd(const MbedtlsEnd&) = delete;  // mbedTLS points to it
  MbedtlsEnd& operator=(const MbedtlsEnd&) = delete;

  // Feeds what came and appends what is to be sent. True once it is done; then unread() is what came behind it.
  bool handshake(std::span<const std::byte> received, Bytes& output);
  [[nodiscard]] const Bytes& unread() const { return unread_; }

  // For another record layer to go on from. After the handshake.
  [[nodiscard]] engine::tls::SessionState state() const;

  // The records by mbedTLS. read() gives all that can be read, and 0 or the code that ended it.
  Bytes write(std::string_view text);
  // A record without data.
  Bytes write_empty();
  struct Read {
    std::string text;
    int code = 0;
  };
  Read read(std::span<const std::byte> received);
  Bytes close_notify();
  // Makes it go on reading with this sequence number, whatever has ended it before.
  void rewind(std::uint64_t receive_sequence);

  [[nodiscard]] mbedtls_ssl_context* ssl() { return ssl_.get(); }

 private:
  using TicketKeys = engine::tls::Handle<mbedtls_ssl_ticket_context, mbedtls_ssl_ticket_init, mbedtls_ssl_ticket_free>;

  void configure_server();
  static void export_keys(void* end, mbedtls_ssl_key_export_type type, const unsigned char* secret, std::size_t size,
                          const unsigned char* client_random, const unsigned char* server_random,
                          mbedtls_tls_prf_types prf);

  std::array<int, 2> suites_;
  engine::tls::CertificateChain authorities_;
  engine::tls::CertificateChain certificate_;
  engine::tls::PrivateKey key_;
  TicketKeys ticket_keys_;
  engine::tls::ClientConfig config_;
  engine::tls::Bio bio_;
  engine::tls::SslContext ssl_;
  engine::tls::SessionState state_;
  Bytes unread_;
};

}  // namespace tlsmux::test
