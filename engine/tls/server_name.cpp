#include "engine/tls/server_name.hpp"

#include <mbedtls/asn1.h>
#include <mbedtls/x509.h>
#include <mbedtls/x509_crt.h>

#include <algorithm>

namespace tlsmux::engine::tls {
namespace {

constexpr std::size_t kNamesShownMax = 4;
constexpr std::size_t kNameBytesShownMax = 80;

// Calls `visit` with each subjectAltName entry of the kind. What mbedTLS keeps is the raw entry.
template <typename Visit>
void for_each_alternative_name(const mbedtls_x509_crt& certificate, int kind, Visit visit) {
  for (const auto* entry = &certificate.subject_alt_names; entry != nullptr; entry = entry->next) {
    if (entry->buf.p == nullptr || (entry->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) != kind) continue;
    visit(std::span<const std::uint8_t>(entry->buf.p, entry->buf.len));
  }
}

// A host chooses these bytes, and they go into logs.
std::string printable(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes.first(std::min(bytes.size(), kNameBytesShownMax))) {
    text += byte > 0x20 && byte < 0x7f && byte != '"' ? static_cast<char>(byte) : '?';
  }
  return text;
}

}  // namespace

ServerName parse_server_name(const std::string& text) {
  ServerName name;
  name.text = text;
  alignas(4) std::array<std::uint8_t, 16> address{};
  name.address_size = mbedtls_x509_crt_parse_cn_inet_pton(text.c_str(), address.data());
  if (name.is_address()) {
    name.address_bytes = address;
  } else if (text.ends_with('.')) {
    name.text.pop_back();  // RFC 6066 section 3: without the trailing dot
  }
  return name;
}

bool certificate_has_address(const mbedtls_x509_crt& certificate, std::span<const std::uint8_t> address) {
  bool found = false;
  for_each_alternative_name(certificate, MBEDTLS_X509_SAN_IP_ADDRESS, [&](std::span<const std::uint8_t> entry) {
    found = found || std::ranges::equal(entry, address);
  });
  return found;
}

std::string certificate_names(const mbedtls_x509_crt& certificate) {
  std::string names;
  std::size_t count = 0;
  for_each_alternative_name(certificate, MBEDTLS_X509_SAN_DNS_NAME, [&](std::span<const std::uint8_t> entry) {
    if (count < kNamesShownMax) names += (count == 0 ? "" : ", ") + printable(entry);
    if (count == kNamesShownMax) names += ", ...";
    ++count;
  });
  return names;
}

}  // namespace tlsmux::engine::tls
