#include "config/key_pin.hpp"

#include <cstddef>

namespace tlsmux::config {
namespace {

constexpr std::string_view kPrefix = "sha256/";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kDigits = 43;  // of 6 bits each for 256 bits; the last one has two bits too many

}  // namespace

std::optional<KeyHash> parse_pin(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  if (text.size() != kDigits + 1 || text.back() != '=') return std::nullopt;
  KeyHash hash{};
  std::size_t filled = 0;
  std::uint32_t bits = 0;
  unsigned bit_count = 0;
  for (const char digit : text.substr(0, kDigits)) {
    const std::size_t value = kAlphabet.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    bit_count += 6;
    if (bit_count < 8) continue;
    bit_count -= 8;
    hash.at(filled++) = static_cast<std::uint8_t>(bits >> bit_count);
    bits &= (1U << bit_count) - 1;
  }
  if (bits != 0) return std::nullopt;
  return hash;
}

std::string pin_text(const KeyHash& hash) {
  std::string text(kPrefix);
  std::uint32_t bits = 0;
  unsigned bit_count = 0;
  for (const std::uint8_t byte : hash) {
    bits = (bits << 8) | byte;
    bit_count += 8;
    while (bit_count >= 6) {
      bit_count -= 6;
      text += kAlphabet.at((bits >> bit_count) & 63);
    }
    bits &= (1U << bit_count) - 1;
  }
  text += kAlphabet.at((bits << (6 - bit_count)) & 63);
  return text + "=";
}

}  // namespace tlsmux::config
