#include "engine/tls/credentials.hpp"

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>
#include <string_view>

#include "shm/shared_copy.hpp"

namespace tlsmux::engine::tls {
namespace {

using Parsed = std::expected<void, std::string>;

constexpr std::string_view kCertificateMark = "-----BEGIN CERTIFICATE-----";

std::unexpected<std::string> wrong(const std::string& name, const std::string& what) {
  return std::unexpected("\"" + name + "\" " + what);
}

// mbedTLS takes PEM with its terminating zero, which a std::string has.
int parse_chain(CertificateChain& chain, const std::string& pem) {
  return mbedtls_x509_crt_parse(chain.get(), reinterpret_cast<const unsigned char*>(pem.c_str()), pem.size() + 1);
}

Parsed parse_authorities(Credentials& credentials, const std::vector<PemFile>& files) {
  for (const PemFile& file : files) {
    if (!file.pem.contains(kCertificateMark)) {
      if (file.from_directory) continue;
      return wrong(file.name, "holds no CA certificate in PEM form (BEGIN CERTIFICATE)");
    }
    // Above 0 is the number of certificates of a kind mbedTLS does not know: usual in bundles of public CAs.
    const int code = parse_chain(credentials.authorities, file.pem);
    if (code < 0) return wrong(file.name, "holds no CA certificate that can be read: " + library_words(code));
    credentials.has_authorities = true;
  }
  return {};
}

Parsed parse_certificate(Credentials& credentials, const PemFile& file) {
  if (!file.pem.contains(kCertificateMark)) {
    return wrong(file.name, "holds no certificate in PEM form (BEGIN CERTIFICATE)");
  }
  const int code = parse_chain(credentials.certificate, file.pem);
  if (code < 0) return wrong(file.name, "cannot be read as a certificate: " + library_words(code));
  if (code > 0) return wrong(file.name, "holds a certificate that cannot be read");
  credentials.has_certificate = true;
  return {};
}

Parsed parse_key(Credentials& credentials, const SecretPemFile& file, mbedtls_ctr_drbg_context& random) {
  SecretBytes terminated(file.pem.bytes().size() + 1);
  shm::copy_bytes(terminated.bytes(), file.pem.bytes());
  const int code =
      mbedtls_pk_parse_key(credentials.key.get(), reinterpret_cast<const unsigned char*>(terminated.bytes().data()),
                           terminated.bytes().size(), nullptr, 0, mbedtls_ctr_drbg_random, &random);
  if (code == MBEDTLS_ERR_PK_PASSWORD_REQUIRED) {
    return wrong(file.name,
                 "holds an encrypted key, and there is nobody to ask for its password: decrypt it with "
                 "`openssl pkey` and protect the file by its mode");
  }
  if (code != 0) return wrong(file.name, "holds no private key that can be read: " + library_words(code));
  return {};
}

}  // namespace

std::expected<std::unique_ptr<Credentials>, std::string> parse_credentials(const TlsMaterial& material,
                                                                           mbedtls_ctr_drbg_context& random) {
  auto credentials = std::make_unique<Credentials>();
  if (auto parsed = parse_authorities(*credentials, material.ca_pem); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (material.certificate_pem.name.empty()) return credentials;
  if (auto parsed = parse_certificate(*credentials, material.certificate_pem); !parsed) {
    return std::unexpected(parsed.error());
  }
  if (material.key_pem.name.empty()) return wrong(material.certificate_pem.name, "has no key_file to go with it");
  if (auto parsed = parse_key(*credentials, material.key_pem, random); !parsed) {
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
