#pragma once

// A pin names a public key: "sha256/" and, in Base64, the SHA-256 hash of its SubjectPublicKeyInfo (RFC 7469
// section 2.4).

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tlsmux::config {

using KeyHash = std::array<std::uint8_t, 32>;

// Nothing for what is no pin: another hash, a wrong length, a character outside Base64 (RFC 4648 section 4), or bits
// behind the end that are not zero.
std::optional<KeyHash> parse_pin(std::string_view text);

std::string pin_text(const KeyHash& hash);

}  // namespace tlsmux::config
