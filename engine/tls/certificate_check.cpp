#include "engine/tls/certificate_check.hpp"

#include <mbedtls/oid.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "engine/tls/certificate_words.hpp"
#include "engine/tls/key_pins.hpp"
#include "engine/tls/revocation.hpp"

namespace tlsmux::engine::tls {
namespace {

using shm::Reason;

constexpr std::uint32_t kUnsuitableUse =
    MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE | MBEDTLS_X509_BADCERT_NS_CERT_TYPE;
constexpr std::uint32_t kCheckBroken = 0xFFFFFFFF;  // mbedTLS gave up on the chain

std::string wrong_name_words(const mbedtls_x509_crt& certificate, const ServerName& name) {
  const std::string names = certificate_names(certificate);
  const std::string words = "is not for \"" + name.text + "\"";
  if (!names.empty()) return words + " but for " + names;
  return words + ": it has no DNS name in subjectAltName, and its common name does not count (RFC 9525)";
}

// Where the CAs are that are trusted.
std::string trusted_words(std::string_view ca_file, std::string_view ca_directory) {
  std::string words;
  if (!ca_file.empty()) words += "; ca_file " + std::string(ca_file);
  if (!ca_directory.empty()) words += "; ca_directory " + std::string(ca_directory);
  return words;
}

struct FlagWords {
  std::uint32_t flags;
  const char* words;
};
constexpr std::array kPlainWords = {
    FlagWords{MBEDTLS_X509_BADCERT_REVOKED, "is revoked"},
    FlagWords{MBEDTLS_X509_BADCERT_MISSING, "is missing"},
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
  self.compare_pins(*certificate, depth);
  if (self.rules_.verify_peer) self.look_at(*certificate, depth, *flags);
  // Where nothing is verified mbedTLS goes on whatever the flags are, but not with this.
  return !self.rules_.verify_peer && !self.unpinned_words_.empty() ? MBEDTLS_ERR_X509_FATAL_ERROR : 0;
}

void CertificateCheck::look_at(const mbedtls_x509_crt& certificate, int depth, std::uint32_t& flags) {
  if (depth == 0) {
    const bool names_host = name_.is_address()
                                ? certificate_has_address(certificate, name_.address())
                                : mbedtls_x509_crt_has_ext_type(&certificate, MBEDTLS_X509_EXT_SUBJECT_ALT_NAME) != 0;
    if (!names_host) flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  }
  std::string more;
  const auto add_fault = [&](const std::string& words) {
    flags |= MBEDTLS_X509_BADCERT_OTHER;
    more += " and " + words;
  };
  const auto* lists = rules_.revocation_lists;
  if (lists != nullptr && below_anchor_ && !has_list_of_issuer(*lists, certificate)) {
    add_fault(missing_list_words(certificate));
  }
  below_anchor_ = true;
  if (depth == 0 && !unpinned_words_.empty()) add_fault(unpinned_words_);
  if (flags == 0) return;

  const std::string words = words_of(flags & ~std::uint32_t{MBEDTLS_X509_BADCERT_OTHER}, certificate);
  if (words.empty() && !more.empty()) more.erase(0, std::string_view(" and ").size());
  faults_.push_back({flags, "certificate \"" + name_text(certificate.subject) + "\" " + words + more});
}

// RFC 7469 section 2.6: one match anywhere in the chain that was verified is enough. Of a chain that is not verified
// only the host's own key is known to be used.
void CertificateCheck::compare_pins(const mbedtls_x509_crt& certificate, int depth) {
  if (rules_.pins.empty() || (!rules_.verify_peer && depth != 0)) return;
  const config::KeyHash hash = key_hash(certificate);
  if (std::ranges::find(rules_.pins, hash) != rules_.pins.end()) pin_matched_ = true;
  if (depth == 0 && !pin_matched_) {
    unpinned_words_ = "has a key that none of the pins allows: its own would be " + config::pin_text(hash);
  }
}

std::string CertificateCheck::words_of(std::uint32_t flags, const mbedtls_x509_crt& certificate) const {
  std::string words;
  if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0) {
    add(words, "is signed by no CA that is trusted here (issuer " + name_text(certificate.issuer) +
                   trusted_words(rules_.ca_file, rules_.ca_directory) + ")");
  }
  if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0) add(words, "expired on " + time_text(certificate.valid_to));
  if ((flags & MBEDTLS_X509_BADCERT_FUTURE) != 0) {
    add(words, "is not valid before " + time_text(certificate.valid_from));
  }
  if ((flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0) add(words, wrong_name_words(certificate, name_));
  if ((flags & unusable_list_flags()) != 0 && rules_.revocation_lists != nullptr) {
    add(words, unusable_list_words(*rules_.revocation_lists, certificate, flags));
  }
  if (const std::string plain = plain_words(flags); !plain.empty()) add(words, plain);
  return words;
}

TlsError CertificateCheck::error(std::uint32_t verify_result) const {
  if (!rules_.verify_peer && !unpinned_words_.empty()) {
    return {Reason::certificate_pin_mismatch, "the host's certificate " + unpinned_words_};
  }
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
  const auto flags = verify_result | seen;
  const bool only_unpinned = !unpinned_words_.empty() && flags == MBEDTLS_X509_BADCERT_OTHER;
  return {only_unpinned ? Reason::certificate_pin_mismatch : reason_of(flags), words};
}

}  // namespace tlsmux::engine::tls
