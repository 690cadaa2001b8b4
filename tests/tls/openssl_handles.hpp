// OpenSSL's objects, given back when they go out of scope.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

namespace tlsmux::test {

template <auto kFree>
struct Freer {
  template <typename Value>
  void operator()(Value* value) const {
    kFree(value);
  }
};

using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using RevocationList = std::unique_ptr<X509_CRL, Freer<X509_CRL_free>>;
using Asn1Time = std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME_free>>;
using MemoryBio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using SslContextHandle = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using SslHandle = std::unique_ptr<SSL, Freer<SSL_free>>;

}  // namespace tlsmux::test
