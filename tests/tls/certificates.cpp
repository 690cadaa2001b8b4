#include "tests/tls/certificates.hpp"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <array>
#include <atomic>

#include "shm/assert.hpp"

namespace tlsmux::test {
namespace {

Key make_key(KeyKind kind) {
  switch (kind) {
    case KeyKind::p256: return Key(EVP_EC_gen("P-256"));
    case KeyKind::p384: return Key(EVP_EC_gen("P-384"));
    case KeyKind::rsa: return Key(EVP_RSA_gen(2048));
  }
  return nullptr;
}

void add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  TMX_ASSERT(extension != nullptr);
  TMX_ASSERT(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Certificate make_unsigned(const CertificateWish& wish, EVP_PKEY* key) {
  static std::atomic<long> serial = 1;
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), wish.starts_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), wish.ends_s);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wish.common_name.c_str()), -1, -1, 0);
  return certificate;
}

template <typename Write>
std::string pem_of(Write write) {
  const MemoryBio bio(BIO_new(BIO_s_mem()));
  TMX_ASSERT(write(bio.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

std::string Identity::certificate_pem() const {
  return pem_of([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); });
}

std::string Identity::key_pem() const {
  return pem_of(
      [&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

std::string Identity::encrypted_key_pem() const {
  return pem_of([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), EVP_aes_256_cbc(), kPassphrase.data(),
                                         static_cast<int>(kPassphrase.size()), nullptr, nullptr);
  });
}

std::string Identity::traditionally_encrypted_key_pem() const {
  return pem_of([&](BIO* bio) {
    const std::string passphrase(kPassphrase);
    return PEM_write_bio_PrivateKey_traditional(bio, key.get(), EVP_aes_128_cbc(),
                                                reinterpret_cast<const unsigned char*>(passphrase.data()),
                                                static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
}

std::string Identity::pin() const {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  TMX_ASSERT(size > 0);
  std::array<unsigned char, 32> hash{};
  TMX_ASSERT(EVP_Digest(der, static_cast<std::size_t>(size), hash.data(), nullptr, EVP_sha256(), nullptr) == 1);
  OPENSSL_free(der);
  std::array<unsigned char, 64> text{};
  const int written = EVP_EncodeBlock(text.data(), hash.data(), static_cast<int>(hash.size()));
  return "sha256/" + std::string(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(written));
}

namespace {

Identity make_authority(const std::string& common_name, const std::string& key_usage, KeyKind key,
                        const Identity* issuer) {
  Identity identity;
  identity.key = make_key(key);
  identity.certificate = make_unsigned({.common_name = common_name}, identity.key.get());
  X509* certificate = identity.certificate.get();
  X509* by = issuer != nullptr ? issuer->certificate.get() : certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(by));
  add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  if (!key_usage.empty()) add_extension(certificate, NID_key_usage, key_usage);
  EVP_PKEY* signer = issuer != nullptr ? issuer->key.get() : identity.key.get();
  TMX_ASSERT(X509_sign(certificate, signer, EVP_sha256()) > 0);
  return identity;
}

}  // namespace

Authority::Authority(const std::string& common_name, const std::string& key_usage, KeyKind key)
    : identity_(make_authority(common_name, key_usage, key, nullptr)) {}

Authority Authority::issue_authority(const std::string& common_name) const {
  Authority issued;
  issued.identity_ = make_authority(common_name, "", KeyKind::p256, &identity_);
  return issued;
}

std::string Authority::revocation_list_pem(const RevocationWish& wish) const {
  const RevocationList list(X509_CRL_new());
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(identity_.certificate.get()));
  const auto time = [](long from_now_s) { return Asn1Time(X509_gmtime_adj(nullptr, from_now_s)); };
  X509_CRL_set1_lastUpdate(list.get(), time(wish.starts_s).get());
  X509_CRL_set1_nextUpdate(list.get(), time(wish.ends_s).get());
  for (const Identity* identity : wish.revoked) {
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(identity->certificate.get()));
    X509_REVOKED_set_revocationDate(entry, time(-7200).get());
    TMX_ASSERT(X509_CRL_add0_revoked(list.get(), entry) == 1);
  }
  X509_CRL_sort(list.get());
  TMX_ASSERT(X509_CRL_sign(list.get(), identity_.key.get(), EVP_sha256()) > 0);
  return pem_of([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, list.get()); });
}

Identity Authority::issue(const CertificateWish& wish) const {
  Identity identity;
  if (wish.key_pair != nullptr) {
    EVP_PKEY_up_ref(wish.key_pair);
    identity.key.reset(wish.key_pair);
  } else {
    identity.key = make_key(wish.key);
  }
  identity.certificate = make_unsigned(wish, identity.key.get());
  X509* certificate = identity.certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(identity_.certificate.get()));
  add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE");
  if (!wish.alternative_names.empty()) add_extension(certificate, NID_subject_alt_name, wish.alternative_names);
  TMX_ASSERT(X509_sign(certificate, identity_.key.get(), EVP_sha256()) > 0);
  return identity;
}

}  // namespace tlsmux::test
