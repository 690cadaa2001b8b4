#include "engine/tls/expiry.hpp"

#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>

#include "engine/tls/certificate_words.hpp"
#include "engine/tls/handles.hpp"

namespace tlsmux::engine::tls {
namespace {

constexpr std::int64_t kDayS = 24 * 60 * 60;

void find_certificates(const PemFile& file, std::vector<Expiring>& found) {
  CertificateChain chain;
  const auto* pem = reinterpret_cast<const unsigned char*>(file.pem.c_str());
  if (mbedtls_x509_crt_parse(chain.get(), pem, file.pem.size() + 1) != 0) return;
  for (const auto* one = chain.get(); one != nullptr; one = one->next) {
    const auto prefix = one == chain.get() ? std::string() : "\"" + name_text(one->subject) + "\" in ";
    found.push_back(
        {.kind = Expiring::Kind::certificate, .name = prefix + "\"" + file.name + "\"", .validity = validity_of(*one)});
  }
}

// Those without an end count as expired for mbedTLS; what it says of hosts then is enough.
void find_revocation_lists(const PemFile& file, std::vector<Expiring>& found) {
  RevocationLists lists;
  const auto* pem = reinterpret_cast<const unsigned char*>(file.pem.c_str());
  if (mbedtls_x509_crl_parse(lists.get(), pem, file.pem.size() + 1) != 0) return;
  for (const auto* one = lists.get(); one != nullptr; one = one->next) {
    if (one->next_update.year == 0) continue;
    found.push_back({.kind = Expiring::Kind::revocation_list,
                     .name = "the list of CA \"" + name_text(one->issuer) + "\" in \"" + file.name + "\"",
                     .validity = {.from_s = epoch_seconds(one->this_update), .to_s = epoch_seconds(one->next_update)}});
  }
}

// As long as having a certificate renewed, or fetching a list, may take; but of what is replaced every few days, as some lists and
// certificates are, not all the time.
std::int64_t notice_s(const Expiring& expiring) {
  const auto longest_s = (expiring.kind == Expiring::Kind::certificate ? 30 : 2) * kDayS;
  return std::min(longest_s, (expiring.validity.to_s - expiring.validity.from_s) / 4);
}

}  // namespace

Validity validity_of(const mbedtls_x509_crt& certificate) {
  return {.from_s = epoch_seconds(certificate.valid_from), .to_s = epoch_seconds(certificate.valid_to)};
}

std::string validity_fault(const Validity& validity, std::int64_t now_s) {
  if (validity.to_s < now_s) return "expired on " + time_text(validity.to_s);
  if (validity.from_s > now_s) return "is not valid before " + time_text(validity.from_s);
  return {};
}

std::vector<Expiring> find_expiring(const TlsMaterial& material) {
  std::vector<Expiring> found;
  if (!material.certificate_pem.name.empty()) find_certificates(material.certificate_pem, found);
  if (!material.crl_pem.name.empty()) find_revocation_lists(material.crl_pem, found);
  return found;
}

std::string expiry_warning(const Expiring& expiring, std::int64_t now_s) {
  const bool is_list = expiring.kind == Expiring::Kind::revocation_list;
  if (const auto fault = validity_fault(expiring.validity, now_s); !fault.empty()) {
    return expiring.name + " " + fault + ": " +
           (is_list ? "no host with a certificate of that CA is trusted in a new session"
                    : "hosts that ask for a certificate reject it");
  }
  const auto left_s = expiring.validity.to_s - now_s;
  if (left_s >= notice_s(expiring)) return {};
  return expiring.name + " expires on " + time_text(expiring.validity.to_s) + ", which is less than " +
         std::to_string(left_s / kDayS + 1) + (left_s < kDayS ? " day" : " days") +
         " away: " + (is_list ? "fetch a newer one and run tlsmux refresh" : "have it renewed");
}

}  // namespace tlsmux::engine::tls
