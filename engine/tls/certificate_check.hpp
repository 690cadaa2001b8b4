#pragma once

// Watches mbedTLS verify a host's chain, adds what mbedTLS leaves open, and says what was wrong. Internal to this
// folder.

#include <mbedtls/ssl.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/key_pin.hpp"
#include "engine/tls/server_name.hpp"
#include "engine/tls/tls_session.hpp"

namespace tlsmux::engine::tls {

// What it refers to outlives the check.
struct CertificateRules {
  bool verify_peer = true;  // else only the pins count
  std::string_view ca_file{};
  std::string_view ca_directory{};
  const mbedtls_x509_crl* revocation_lists = nullptr;
  std::span<const config::KeyHash> pins{};  // empty: any key
};

class CertificateCheck {
 public:
  CertificateCheck(ServerName name, const CertificateRules& rules) : name_(std::move(name)), rules_(rules) {}

  // For mbedtls_ssl_set_verify(), with the object as context. mbedTLS calls it from the CA's end of the chain to the
  // host's, which has depth 0.
  //
  // mbedTLS compares DNS names but falls back to the common name, which RFC 9525 section 2 forbids; and it would send a
  // literal address as SNI, which RFC 6066 section 3 forbids, so it is not told the address and that is compared here.
  // It takes a certificate as not revoked if there is no list of its CA: here that is a fault. It knows no pins.
  static int verify(void* check, mbedtls_x509_crt* certificate, int depth, std::uint32_t* flags);

  [[nodiscard]] const ServerName& name() const { return name_; }

  // After a failure. `verify_result` is that of the whole chain: it may hold more than verify() saw.
  [[nodiscard]] TlsError error(std::uint32_t verify_result) const;

 private:
  struct Fault {
    std::uint32_t flags = 0;
    std::string words;
  };

  void look_at(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags);
  void compare_pins(const mbedtls_x509_crt& certificate, int depth);
  [[nodiscard]] std::string words_of(std::uint32_t flags, const mbedtls_x509_crt& certificate) const;

  ServerName name_;
  CertificateRules rules_;
  bool below_anchor_ = false;  // the trusted end of the chain is seen
  bool pin_matched_ = false;
  std::string unpinned_words_;  // set when no pin matched
  std::vector<Fault> faults_;   // from the CA's end of the chain to the host's
};

}  // namespace tlsmux::engine::tls
