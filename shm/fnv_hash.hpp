#pragma once

// A number for a text that is another one for nearly every other text. No protection against intent.

#include <cstdint>
#include <string>
#include <string_view>

namespace tlsmux::shm {

// FNV-1a, 64 bits (Fowler, Noll, Vo).
constexpr std::uint64_t fnv_hash(std::string_view text) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const char character : text) {
    hash ^= static_cast<unsigned char>(character);
    hash *= 0x100'0000'01b3;
  }
  return hash;
}

// It, as 16 hexadecimal digits.
inline std::string fnv_text(std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  auto hash = fnv_hash(text);
  std::string digits(16, '0');
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, hash >>= 4U) *digit = kHexDigits[hash & 15U];
  return digits;
}

}  // namespace tlsmux::shm
