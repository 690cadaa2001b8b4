#include "config/settings_tree.hpp"

namespace tlsmux::config {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

template <class List, class ToText>
std::string joined(const List& list, char opening, char closing, ToText to_text) {
  std::string result(1, opening);
  for (const auto& entry : list) {
    if (result.size() > 1) result += ", ";
    result += to_text(entry);
  }
  return result + closing;
}

}  // namespace

std::string json_text(std::string_view text) {
  std::string result = "\"";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20) {
      result += std::string("\\u00") + kHexDigits[byte >> 4] + kHexDigits[byte & 15];
      continue;
    }
    if (character == '"' || character == '\\') result += '\\';
    result += character;
  }
  return result + "\"";
}

std::string json_text(const std::vector<std::string>& texts) {
  return joined(texts, '[', ']', [](const std::string& text) { return json_text(text); });
}

std::string json_text(const std::vector<std::uint32_t>& numbers) {
  return joined(numbers, '[', ']', [](std::uint32_t number) { return std::to_string(number); });
}

std::string json_text(const std::map<std::uint32_t, std::string>& values) {
  return joined(values, '{', '}', [](const auto& entry) {
    return json_text(std::to_string(entry.first)) + ": " + json_text(entry.second);
  });
}

std::string hex_text(const std::vector<std::uint8_t>& bytes) {
  std::string digits;
  for (const std::uint8_t byte : bytes) {
    digits += kHexDigits[byte >> 4];
    digits += kHexDigits[byte & 15];
  }
  return json_text(digits);
}

}  // namespace tlsmux::config
