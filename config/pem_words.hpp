#pragma once

// By what a PEM file is known to hold what it must, and what is said of one that does not: said alike where the
// configuration is checked and where an engine reads the file.

#include <cstddef>
#include <string_view>

namespace tlsmux::config {

inline constexpr std::size_t kPemFileBytesMax = 8U << 20;

struct PemContent {
  std::string_view mark;
  std::string_view missing;  // what follows the file's name if the mark is not in it
};

inline constexpr PemContent kPemAuthorities{.mark = "-----BEGIN CERTIFICATE-----",
                                            .missing = "holds no CA certificate in PEM form (BEGIN CERTIFICATE)"};
inline constexpr PemContent kPemCertificate{.mark = kPemAuthorities.mark,
                                            .missing = "holds no certificate in PEM form (BEGIN CERTIFICATE)"};
inline constexpr PemContent kPemRevocationLists{
    .mark = "-----BEGIN X509 CRL-----",
    .missing =
        "holds no revocation list in PEM form (BEGIN X509 CRL); one in DER form is converted by `openssl crl "
        "-inform DER`"};

}  // namespace tlsmux::config
