#include "client/cli/hex.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace tlsmux::client::cli {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kBytesPerLine = 16;

int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

void append_hex(std::string& text, std::byte byte) {
  text += kDigits[std::to_integer<std::size_t>(byte) >> 4];
  text += kDigits[std::to_integer<std::size_t>(byte) & 15];
}

}  // namespace

std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::string_view(" :\t\r\n").contains(text[i])) continue;
    const int high = digit_value(text[i]);
    const int low = ++i < text.size() ? digit_value(text[i]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return bytes;
}

std::string to_hex(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const auto byte : bytes) append_hex(text, byte);
  return text;
}

std::string hex_dump(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t start = 0; start < bytes.size(); start += kBytesPerLine) {
    const auto line = bytes.subspan(start, std::min(kBytesPerLine, bytes.size() - start));
    std::array<char, 32> offset{};
    std::snprintf(offset.data(), offset.size(), "%06zx ", start);
    text += offset.data();
    std::string letters;
    for (std::size_t i = 0; i < kBytesPerLine; ++i) {
      text += i == kBytesPerLine / 2 ? "  " : " ";
      if (i >= line.size()) {
        text += "  ";
        continue;
      }
      append_hex(text, line[i]);
      const auto letter = std::to_integer<unsigned char>(line[i]);
      letters += letter >= 0x20 && letter < 0x7f ? static_cast<char>(letter) : '.';
    }
    text += "  " + letters + "\n";
  }
  return text;
}

}  // namespace tlsmux::client::cli
