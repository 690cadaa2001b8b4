#include "engine/tls/revocation.hpp"

#include <mbedtls/x509.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>
#include <span>

#include "engine/tls/certificate_words.hpp"

namespace tlsmux::engine::tls {
namespace {

constexpr std::uint32_t kBadlySigned =
    MBEDTLS_X509_BADCRL_BAD_MD | MBEDTLS_X509_BADCRL_BAD_PK | MBEDTLS_X509_BADCRL_BAD_KEY;

// Compared byte by byte: a CA writes its name the same way everywhere (RFC 5280 section 5.1.2.3). mbedTLS is more lenient,
// so that where the two differ a certificate is refused.
const mbedtls_x509_crl* list_of_issuer(const mbedtls_x509_crl& lists, const mbedtls_x509_crt& certificate) {
  const auto bytes_of = [](const mbedtls_x509_buf& name) { return std::span(name.p, name.len); };
  for (const auto* list = &lists; list != nullptr; list = list->next) {
    if (list->version != 0 && std::ranges::equal(bytes_of(list->issuer_raw), bytes_of(certificate.issuer_raw))) {
      return list;
    }
  }
  return nullptr;
}

void add(std::string& words, const std::string& more) {
  if (!words.empty()) words += " and ";
  words += more;
}

}  // namespace

bool has_list_of_issuer(const mbedtls_x509_crl& lists, const mbedtls_x509_crt& certificate) {
  return list_of_issuer(lists, certificate) != nullptr;
}

std::uint32_t unusable_list_flags() {
  return MBEDTLS_X509_BADCRL_NOT_TRUSTED | MBEDTLS_X509_BADCRL_EXPIRED | MBEDTLS_X509_BADCRL_FUTURE | kBadlySigned;
}

std::string unusable_list_words(const mbedtls_x509_crl& lists, const mbedtls_x509_crt& certificate,
                                std::uint32_t flags) {
  const auto* list = list_of_issuer(lists, certificate);
  std::string faults;
  if ((flags & MBEDTLS_X509_BADCRL_NOT_TRUSTED) != 0) {
    add(faults, "is not signed by that CA, or the CA may not sign such lists (key usage cRLSign)");
  }
  if ((flags & MBEDTLS_X509_BADCRL_EXPIRED) != 0) {
    add(faults, list != nullptr && list->next_update.year != 0
                    ? "expired on " + time_text(list->next_update) + ": get a new one"
                    : "has expired, or does not say until when it holds");
  }
  if ((flags & MBEDTLS_X509_BADCRL_FUTURE) != 0) {
    add(faults, "is not valid " + (list != nullptr ? "before " + time_text(list->this_update) : "yet"));
  }
  if ((flags & kBadlySigned) != 0) add(faults, "is signed in too weak a way");
  return "cannot be checked for revocation: the list of its CA \"" + name_text(certificate.issuer) + "\" in crl_file " +
         faults;
}

std::string missing_list_words(const mbedtls_x509_crt& certificate) {
  return "cannot be checked for revocation: crl_file has no list of its CA \"" + name_text(certificate.issuer) + "\"";
}

}  // namespace tlsmux::engine::tls
