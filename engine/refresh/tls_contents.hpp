#pragma once

// What was in the files of an upstream's TLS settings, so that it shows when one has another content.

#include <string_view>
#include <vector>

#include "engine/message/siphash.hpp"
#include "engine/tls/tls_material.hpp"

namespace tlsmux::engine {

// Keyed hashes: they tell nobody what was in a file.
class TlsContents {
 public:
  TlsContents() = default;
  TlsContents(message::SipHashKey key, const tls::TlsMaterial& material);

  // The settings whose files differ, such as certificate_file.
  [[nodiscard]] std::vector<std::string_view> differences(const TlsContents& other) const;

 private:
  std::uint64_t authorities_ = 0;
  std::uint64_t revocations_ = 0;
  std::uint64_t certificate_ = 0;
  std::uint64_t key_ = 0;
  std::uint64_t passphrase_ = 0;
};

}  // namespace tlsmux::engine
