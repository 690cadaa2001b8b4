#include "engine/tls/certificate_check.hpp"

#include <mbedtls/oid.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <utility>

namespace tlsmux::engine::tls {
namespace {

using shm::Reason;

constexpr std::uint32_t kUnsuitableUse =
    MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE | MBEDTLS_X509_BADCERT_NS_CERT_TYPE;
constexpr std::uint32_t kUnusableRevocationList = MBEDTLS_X509_BADCRL_NOT_TRUSTED | MBEDTLS_X509_BADCRL_EXPIRED |
                                                  MBEDTLS_X509_BADCRL_FUTURE | MBEDTLS_X509_BADCRL_BAD_MD |
                                                  MBEDTLS_X509_BADCRL_BAD_PK | MBEDTLS_X509_BADCRL_BAD_KEY;
constexpr std::uint32_t kCheckBroken = 0xFFFFFFFF;  // mbedTLS gave up on the chain

std::string time_text(const mbedtls_x509_time& time) {
  std::array<char, 40> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%04d-%02d-%02d %02d:%02d UTC", time.year, time.mon,
                                  time.day, time.hour, time.min));
  return text.data();
}

// mbedTLS escapes what is not printable.
std::string name_text(const mbedtls_x509_name& name) {
  std::array<char, 160> text{};
  const int size = mbedtls_x509_dn_gets(text.data(), text.size(), &name);
  return size > 0 ? text.data() : "a very long name";
}

std::string wrong_name_words(const mbedtls_x509_crt& certificate, const ServerName& name) {
  const std::string names = certificate_names(certificate);
  const std::string words = "is not for \"" + name.text + "\"";
  if (!names.empty()) return words + " but for " + names;
  return words + ": it has no DNS name in subjectAltName, and its common name does not count (RFC 9525)";
}

struct FlagWords {
  std::uint32_t flags;
  const char* words;
};
constexpr std::array kPlainWords = {
    FlagWords{MBEDTLS_X509_BADCERT_REVOKED, "is revoked"},
    FlagWords{MBEDTLS_X509_BADCERT_MISSING, "is missing"},
    FlagWords{kUnusableRevocationList, "cannot be checked, since its CA's revocation list is not usable"},
    FlagWords{kUnsuitableUse, "is not meant for a TLS server (key usage)"},
    FlagWords{MBEDTLS_X509_BADCERT_BAD_MD, "is signed with too weak a hash"},
    FlagWords{MBEDTLS_X509_BADCERT_BAD_PK, "has a key of a kind that is not accepted"},
    FlagWords{MBEDTLS_X509_BADCERT_BAD_KEY, "has a key that is too short or on a curve that is not accepted"},
    FlagWords{MBEDTLS_X509_BADCERT_OTHER, "was refused"},
};

void add(std::string& words, const std::string& more) {
  if (!words.empty()) words += " and ";
  words += more;
}

std::string plain_words(std::uint32_t flags) {
  std::string words;
  for (const auto& known : kPlainWords) {
    if ((flags & known.flags) != 0) add(words, known.words);
  }
  return words;
}

std::string words_of(std::uint32_t flags, const mbedtls_x509_crt& certificate, const ServerName& name) {
  std::string words;
  if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
    add(words, "is signed by no CA that is trusted here (issuer " + name_text(certificate.issuer) + ")");
  }
  if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0) add(words, "expired on " + time_text(certificate.valid_to));
  if ((flags & MBEDTLS_X509_BADCERT_FUTURE) != 0) {
    add(words, "is not valid before " + time_text(certificate.valid_from));
  }
  if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) add(words, wrong_name_words(certificate, name));
  if (const std::string plain = plain_words(flags); !plain.empty()) add(words, plain);
  return "certificate \"" + name_text(certificate.subject) + "\" " + words;
}

// The worst first: of an untrusted certificate nothing else is known to be true.
Reason reason_of(std::uint32_t flags) {
  if ((flags & MBEDTLS_X509_BADCERT_MISSING) != 0) return Reason::certificate_missing;
  if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) return Reason::certificate_untrusted;
  if ((flags & MBEDTLS_X509_BADCERT_REVOKED) != 0) return Reason::certificate_revoked;
  if ((flags & (MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE)) != 0) {
    return Reason::certificate_expired;
  }
  if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) return Reason::certificate_wrong_name;
  return Reason::certificate_untrusted;
}

}  // namespace

int CertificateCheck::verify(void* check, mbedtls_x509_crt* certificate, int depth, std::uint32_t* flags) {
  auto& self = *static_cast<CertificateCheck*>(check);
  if (depth == 0) {
    const bool names_host = self.name_.is_address()
                                ? certificate_has_address(*certificate, self.name_.address())
                                : mbedtls_x509_crt_has_ext_type(certificate, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) != 0;
    if (!names_host) *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  }
  if (*flags != 0) self.faults_.push_back({*flags, words_of(*flags, *certificate, self.name_)});
  return 0;
}

TlsError CertificateCheck::error(std::uint32_t verify_result) const {
  if (verify_result == kCheckBroken) {
    return {Reason::certificate_untrusted,
            "the host's certificate chain cannot be checked: it is too long or malformed"};
  }
  std::uint32_t seen = 0;
  std::string words;
  for (const Fault& fault : faults_) {
    seen |= fault.flags;
    words += (words.empty() ? "the host's " : "; its ") + fault.words;
  }
  if (const std::string more = plain_words(verify_result & ~seen); !more.empty()) {
    words += (words.empty() ? "the host's certificate " : "; its certificate ") + more;
  }
  if (words.empty()) words = "the host's certificate was refused";
  return {reason_of(verify_result | seen), words};
}

std::int64_t epoch_seconds(const mbedtls_x509_time& time) {
  const std::chrono::year_month_day date{std::chrono::year(time.year),
                                         std::chrono::month(static_cast<unsigned>(time.mon)),
                                         std::chrono::day(static_cast<unsigned>(time.day))};
  const auto moment = std::chrono::sys_days(date) + std::chrono::hours(time.hour) + std::chrono::minutes(time.min) +
                      std::chrono::seconds(time.sec);
  return std::chrono::duration_cast<std::chrono::seconds>(moment.time_since_epoch()).count();
}

}  // namespace tlsmux::engine::tls
