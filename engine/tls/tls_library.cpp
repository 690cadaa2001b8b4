#include "engine/tls/tls_library.hpp"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <psa/crypto.h>

#include <string>
#include <utility>

#include "engine/tls/handles.hpp"

namespace tlsmux::engine::tls {

struct TlsLibrary::Random {
  Entropy entropy;  // used by the generator, so it goes last
  RandomGenerator generator;
};

std::expected<std::unique_ptr<TlsLibrary>, TlsError> TlsLibrary::create() {
  // TLS 1.3 in mbedTLS needs PSA. It is never shut down: it is the process's, and it holds nothing between handshakes.
  if (const psa_status_t status = psa_crypto_init(); status != PSA_SUCCESS) {
    return std::unexpected(
        TlsError{.words = "the cryptographic library did not start (PSA status " + std::to_string(status) + ")"});
  }
  auto random = std::make_unique<Random>();
  const int code =
      mbedtls_ctr_drbg_seed(random->generator.get(), mbedtls_entropy_func, random->entropy.get(), nullptr, 0);
  if (code != 0) {
    return std::unexpected(TlsError{.words = "no random bytes for TLS: " + library_words(code)});
  }
  return std::make_unique<TlsLibrary>(std::move(random));
}

TlsLibrary::TlsLibrary(std::unique_ptr<Random> random) : random_(std::move(random)) {}

TlsLibrary::~TlsLibrary() = default;

mbedtls_ctr_drbg_context& TlsLibrary::random() { return *random_->generator.get(); }

}  // namespace tlsmux::engine::tls
