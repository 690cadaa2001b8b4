#include "engine/tls/own_certificate.hpp"

#include <mbedtls/x509_crt.h>

#include "engine/tls/certificate_words.hpp"
#include "engine/tls/handles.hpp"

namespace tlsmux::engine::tls {
namespace {

constexpr std::int64_t kDayS = 24 * 60 * 60;
constexpr std::int64_t kWarnedBeforeS = 30 * kDayS;

}  // namespace

std::string validity_fault(const mbedtls_x509_crt& certificate, std::int64_t now_s) {
  if (epoch_seconds(certificate.valid_to) < now_s) return "expired on " + time_text(certificate.valid_to);
  if (epoch_seconds(certificate.valid_from) > now_s) return "is not valid before " + time_text(certificate.valid_from);
  return {};
}

std::string own_certificate_warning(const PemFile& file, std::int64_t now_s) {
  CertificateChain chain;
  const auto* pem = reinterpret_cast<const unsigned char*>(file.pem.c_str());
  if (file.name.empty() || mbedtls_x509_crt_parse(chain.get(), pem, file.pem.size() + 1) != 0) return {};
  const auto& certificate = *chain.get();
  if (const auto fault = validity_fault(certificate, now_s); !fault.empty()) {
    return "\"" + file.name + "\" " + fault + ": hosts that ask for a certificate reject it";
  }
  const auto left_s = epoch_seconds(certificate.valid_to) - now_s;
  if (left_s >= kWarnedBeforeS) return {};
  return "\"" + file.name + "\" expires on " + time_text(certificate.valid_to) + ", which is less than " +
         std::to_string(left_s / kDayS + 1) + (left_s < kDayS ? " day" : " days") + " away: have it renewed";
}

}  // namespace tlsmux::engine::tls
