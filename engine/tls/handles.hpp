#pragma once

// mbedTLS's structures, made and given back. Internal to this folder: it includes mbedTLS.

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#include <string>

namespace tlsmux::engine::tls {

// mbedTLS's structures point into themselves and are zeroed by their free functions: they stay where they are.
template <typename Value, void (*kInit)(Value*), void (*kFree)(Value*)>
class Handle {
 public:
  Handle() { kInit(&value_); }
  ~Handle() { kFree(&value_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] Value* get() { return &value_; }
  [[nodiscard]] const Value* get() const { return &value_; }

 private:
  Value value_;
};

using Entropy = Handle<mbedtls_entropy_context, mbedtls_entropy_init, mbedtls_entropy_free>;
using RandomGenerator = Handle<mbedtls_ctr_drbg_context, mbedtls_ctr_drbg_init, mbedtls_ctr_drbg_free>;
using CertificateChain = Handle<mbedtls_x509_crt, mbedtls_x509_crt_init, mbedtls_x509_crt_free>;
using RevocationLists = Handle<mbedtls_x509_crl, mbedtls_x509_crl_init, mbedtls_x509_crl_free>;
using PrivateKey = Handle<mbedtls_pk_context, mbedtls_pk_init, mbedtls_pk_free>;
using ClientConfig = Handle<mbedtls_ssl_config, mbedtls_ssl_config_init, mbedtls_ssl_config_free>;
using SslContext = Handle<mbedtls_ssl_context, mbedtls_ssl_init, mbedtls_ssl_free>;
using SavedSession = Handle<mbedtls_ssl_session, mbedtls_ssl_session_init, mbedtls_ssl_session_free>;

// What mbedTLS says about one of its negative codes.
std::string library_words(int code);

}  // namespace tlsmux::engine::tls
