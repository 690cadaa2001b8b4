#include "engine/tls/client_identity.hpp"

#include <mbedtls/sha256.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "shm/assert.hpp"

namespace tlsmux::engine::tls {
namespace {

void add_number(std::string& description, std::uint64_t number) { description += std::to_string(number) + ";"; }

// With its length, so that no two sequences of texts give the same description.
void add_text(std::string& description, std::string_view text) {
  add_number(description, text.size());
  description += text;
}

void add_texts(std::string& description, const std::vector<std::string>& texts) {
  add_number(description, texts.size());
  for (const auto& text : texts) add_text(description, text);
}

}  // namespace

ClientIdentity client_identity(const config::TlsSettings& settings, const TlsMaterial& material) {
  std::string description;
  add_number(description, settings.verify_peer ? 1 : 0);
  add_number(description, static_cast<std::uint64_t>(settings.version_min));
  add_number(description, static_cast<std::uint64_t>(settings.version_max));
  add_text(description, settings.server_name);
  for (const auto* list : {&settings.pins, &settings.alpn, &settings.suites, &settings.groups}) {
    add_texts(description, *list);
  }
  add_number(description, material.ca_pem.size());
  for (const PemFile& file : material.ca_pem) add_text(description, file.pem);
  add_text(description, material.crl_pem.pem);
  add_text(description, material.certificate_pem.pem);

  ClientIdentity identity{};
  const int code = mbedtls_sha256(reinterpret_cast<const unsigned char*>(description.data()), description.size(),
                                  identity.data(), 0);
  TMX_ASSERT(code == 0);  // it can fail only in hardware
  return identity;
}

}  // namespace tlsmux::engine::tls
