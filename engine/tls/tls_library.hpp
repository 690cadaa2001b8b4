#pragma once

#include <expected>
#include <memory>

#include "engine/tls/aead.hpp"
#include "engine/tls/tls_session.hpp"

struct mbedtls_ctr_drbg_context;

namespace tlsmux::engine::tls {

// mbedTLS started, and its source of random bytes. Made once, by main, before any other thread uses TLS; it must
// outlive every client made with it and their sessions. Any thread may use it.
//
// Seeding asks the kernel for entropy with getrandom(2): here, and again after every 10,000 uses, which are made by
// handshakes only. A confined engine must leave that call allowed.
class TlsLibrary {
 public:
  struct Random;

  // Fails when the kernel gives no entropy or memory is short.
  static std::expected<std::unique_ptr<TlsLibrary>, TlsError> create();
  explicit TlsLibrary(std::unique_ptr<Random> random);  // for create()
  ~TlsLibrary();
  TlsLibrary(const TlsLibrary&) = delete;
  TlsLibrary& operator=(const TlsLibrary&) = delete;

  // Thread-safe: mbedTLS is built with MBEDTLS_THREADING_C.
  [[nodiscard]] mbedtls_ctr_drbg_context& random();

  // What seals and opens records.
  [[nodiscard]] AeadLibrary aead_library() const { return aead_library_; }

 private:
  std::unique_ptr<Random> random_;
  AeadLibrary aead_library_ = fastest_aead_library();
};

}  // namespace tlsmux::engine::tls
