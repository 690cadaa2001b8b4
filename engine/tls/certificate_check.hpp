#pragma once

// Watches mbedTLS verify a host's chain, adds what mbedTLS leaves open, and says what was wrong. Internal to this
// folder.

#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tls/server_name.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine::tls {

class CertificateCheck {
 public:
  explicit CertificateCheck(ServerName name) : name_(std::move(name)) {}

  // For mbedtls_ssl_set_verify(), with the object as context.
  //
  // mbedTLS compares DNS names but falls back to the common name, which RFC 9525 section 2 forbids; and it would send a
  // literal address as SNI, which RFC 6066 section 3 forbids, so it is not told the address and that is compared here.
  static int verify(void* check, mbedtls_x509_crt* certificate, int depth, std::uint32_t* flags);

  [[nodiscard]] const ServerName& name() const { return name_; }

  // After a failure. `verify_result` is that of the whole chain: it may hold more than verify() saw.
  [[nodiscard]] TlsError error(std::uint32_t verify_result) const;

 private:
  struct Fault {
    std::uint32_t flags = 0;
    std::string words;
  };

  ServerName name_;
  std::vector<Fault> faults_;  // from the CA's end of the chain to the host's
};

// Seconds since 1970.
std::int64_t epoch_seconds(const mbedtls_x509_time& time);

}  // namespace tlsmux::engine::tls
