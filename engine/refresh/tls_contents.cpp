#include "engine/refresh/tls_contents.hpp"

#include <span>
#include <string>

namespace tlsmux::engine {
namespace {

std::uint64_t hash_of(message::SipHashKey key, std::string_view text) {
  return message::siphash_2_4(key, std::as_bytes(std::span(text)));
}

}  // namespace

TlsContents::TlsContents(message::SipHashKey key, const tls::TlsMaterial& material)
    : revocations_(hash_of(key, material.crl_pem.pem)),
      certificate_(hash_of(key, material.certificate_pem.pem)),
      key_(message::siphash_2_4(key, material.key_pem.pem.bytes())),
      passphrase_(message::siphash_2_4(key, material.passphrase.bytes.bytes())) {
  std::string authorities;
  for (const auto& file : material.ca_pem) authorities += file.pem;
  authorities_ = hash_of(key, authorities);
}

std::vector<std::string_view> TlsContents::differences(const TlsContents& other) const {
  std::vector<std::string_view> found;
  if (authorities_ != other.authorities_) found.push_back("ca_file or ca_directory");
  if (revocations_ != other.revocations_) found.push_back("crl_file");
  if (certificate_ != other.certificate_) found.push_back("certificate_file");
  if (key_ != other.key_) found.push_back("key_file");
  if (passphrase_ != other.passphrase_) found.push_back("passphrase_file");
  return found;
}

}  // namespace tlsmux::engine
