#include "engine/tls/credentials.hpp"

#include <mbedtls/pk.h>
#include <mbedtls/x509_crl.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "config/pem_words.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::engine::tls {
namespace {

using Parsed = std::expected<void, std::string>;

// "BEGIN ENCRYPTED PRIVATE KEY" (PKCS #8), or "Proc-Type: 4,ENCRYPTED" in the older forms.
constexpr std::string_view kEncryptedMark = "ENCRYPTED";

std::unexpected<std::string> wrong(const std::string& name, std::string_view what) {
  return std::unexpected("\"" + name + "\" " + std::string(what));
}

// mbedTLS takes PEM with its terminating zero, which a std::string has.
int parse_chain(CertificateChain& chain, const std::string& pem) {
  return mbedtls_x509_crt_parse(chain.get(), reinterpret_cast<const unsigned char*>(pem.c_str()), pem.size() + 1);
}

Parsed parse_authorities(Credentials& credentials, const std::vector<PemFile>& files) {
  for (const PemFile& file : files) {
    if (!file.pem.contains(config::kPemAuthorities.mark)) {
      if (file.from_directory) continue;
      return wrong(file.name, config::kPemAuthorities.missing);
    }
    // Above 0 is the number of certificates of a kind mbedTLS does not know: usual in bundles of public CAs.
    const int code = parse_chain(credentials.authorities, file.pem);
    if (code < 0) return wrong(file.name, "holds no CA certificate that can be read: " + library_words(code));
    credentials.has_authorities = true;
  }
  return {};
}

Parsed parse_certificate(Credentials& credentials, const PemFile& file) {
  if (!file.pem.contains(config::kPemCertificate.mark)) return wrong(file.name, config::kPemCertificate.missing);
  const int code = parse_chain(credentials.certificate, file.pem);
  if (code < 0) return wrong(file.name, "cannot be read as a certificate: " + library_words(code));
  if (code > 0) return wrong(file.name, "holds a certificate that cannot be read");
  credentials.has_certificate = true;
  return {};
}

Parsed parse_revocation_lists(Credentials& credentials, const PemFile& file) {
  if (!file.pem.contains(config::kPemRevocationLists.mark)) {
    return wrong(file.name, config::kPemRevocationLists.missing);
  }
  const int code =
      mbedtls_x509_crl_parse(credentials.revocation_lists.get(),
                             reinterpret_cast<const unsigned char*>(file.pem.c_str()), file.pem.size() + 1);
  if (code != 0) return wrong(file.name, "holds a revocation list that cannot be read: " + library_words(code));
  credentials.has_revocation_lists = true;
  return {};
}

std::span<const std::byte> first_line(std::span<const std::byte> bytes) {
  const auto line = bytes.first(static_cast<std::size_t>(std::ranges::find(bytes, std::byte{'\n'}) - bytes.begin()));
  return !line.empty() && line.back() == std::byte{'\r'} ? line.first(line.size() - 1) : line;
}

std::unexpected<std::string> encrypted_key_error(const TlsMaterial& material, int code) {
  const std::string& name = material.key_pem.name;
  if (material.passphrase.name.empty()) {
    return wrong(name, "holds an encrypted key, and there is no passphrase_file");
  }
  if (code == MBEDTLS_ERR_PK_PASSWORD_MISMATCH) {
    return wrong(name,
                 "is not encrypted with the passphrase in the first line of \"" + material.passphrase.name + "\"");
  }
  return wrong(name, "holds an encrypted key that cannot be decrypted with the passphrase in \"" +
                         material.passphrase.name +
                         "\", or is encrypted in a way that is not supported: " + library_words(code));
}

Parsed parse_key(Credentials& credentials, const TlsMaterial& material, mbedtls_ctr_drbg_context& random) {
  const SecretPemFile& file = material.key_pem;
  SecretBytes terminated(file.pem.bytes().size() + 1);
  shm::copy_bytes(terminated.bytes(), file.pem.bytes());
  const auto passphrase = first_line(material.passphrase.bytes.bytes());
  if (!material.passphrase.name.empty() && passphrase.empty()) {
    return wrong(material.passphrase.name, "holds no passphrase: its first line is empty");
  }
  const int code =
      mbedtls_pk_parse_key(credentials.key.get(), reinterpret_cast<const unsigned char*>(terminated.bytes().data()),
                           terminated.bytes().size(),
                           passphrase.empty() ? nullptr : reinterpret_cast<const unsigned char*>(passphrase.data()),
                           passphrase.size(), mbedtls_ctr_drbg_random, &random);
  if (code == 0) return {};
  const std::string_view pem(reinterpret_cast<const char*>(file.pem.bytes().data()), file.pem.bytes().size());
  if (pem.contains(kEncryptedMark)) return encrypted_key_error(material, code);
  return wrong(file.name, "holds no private key that can be read: " + library_words(code));
}

}  // namespace

std::expected<std::unique_ptr<Credentials>, std::string> parse_credentials(const TlsMaterial& material,
                                                                           mbedtls_ctr_drbg_context& random) {
  auto credentials = std::make_unique<Credentials>();
  if (auto parsed = parse_authorities(*credentials, material.ca_pem); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (!material.crl_pem.name.empty()) {
    if (auto parsed = parse_revocation_lists(*credentials, material.crl_pem); !parsed) {
      return std::unexpected(parsed.error());
    }
  }
  if (material.certificate_pem.name.empty()) return credentials;
  if (auto parsed = parse_certificate(*credentials, material.certificate_pem); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (material.key_pem.name.empty()) return wrong(material.certificate_pem.name, "has no key_file to go with it");
  if (auto parsed = parse_key(*credentials, material, random); !parsed) {
    return std::unexpected(parsed.error());
  }
  const int code = mbedtls_pk_check_pair(&credentials->certificate.get()->pk, credentials->key.get(),
                                         mbedtls_ctr_drbg_random, &random);
  if (code != 0) {
    return wrong(material.key_pem.name,
                 "is not the key of the certificate in \"" + material.certificate_pem.name + "\"");
  }
  return credentials;
}

}  // namespace tlsmux::engine::tls
