#pragma once

// What mbedTLS leaves open about revocation lists: that there is one, and words for what is wrong with it. Internal to
// this folder.

#include <cstdint>
#include <string>

struct mbedtls_x509_crl;
struct mbedtls_x509_crt;

namespace tlsmux::engine::tls {

// Whether the lists hold one of the CA that has issued the certificate.
bool has_list_of_issuer(const mbedtls_x509_crl& lists, const mbedtls_x509_crt& certificate);

// The flags that tell of a list that cannot be used.
std::uint32_t unusable_list_flags();

// Why a certificate cannot be checked, in words that follow its name. For some of unusable_list_flags().
std::string unusable_list_words(const mbedtls_x509_crl& lists, const mbedtls_x509_crt& certificate,
                                std::uint32_t flags);

std::string missing_list_words(const mbedtls_x509_crt& certificate);

}  // namespace tlsmux::engine::tls
