#include "tests/host/framing_names.hpp"

#include <utility>

namespace tlsmux::host {
namespace {

using namespace std::string_literals;
using enum LengthEncoding;

const std::vector<std::pair<std::string, Framing>>& named_framings() {
  static const std::vector<std::pair<std::string, Framing>> all = {
      {"length16", {}},
      {"length16_inclusive", {.length_includes_itself = true}},
      {"length16_le", {.encoding = binary_little_endian}},
      {"length24", {.length_bytes = 3}},
      {"length32", {.length_bytes = 4}},
      {"length32_inclusive", {.length_bytes = 4, .length_includes_itself = true}},
      {"ascii4", {.encoding = ascii, .length_bytes = 4}},
      {"ascii4_inclusive", {.encoding = ascii, .length_bytes = 4, .length_includes_itself = true}},
      {"hex4", {.encoding = hex, .length_bytes = 4}},
      {"bcd4", {.encoding = bcd}},
      {"post", {}},
      {"nac", {}},
      {"nac_inclusive", {.length_includes_itself = true}},
      {"bcd", {.encoding = bcd}},
      {"ncc", {.encoding = bcd}},
      {"amex", {.length_includes_itself = true}},
      {"raw", {.length_bytes = 4}},
      {"cmf", {.length_bytes = 3}},
      {"cs", {.after = "\x00\x00"s}},
      {"vap", {.after = "\x00\x00"s}},  // the message begins with a BASE I header
      {"vml", {.after = "\x00\x00"s, .session_control = true, .message_bytes_max = 2048}},
      {"gicc", {.before = "\x00\x00"s}},
      {"rbp", {.before = "\xd0\x4a"s, .after = "\x00\x00"s, .after_more = "\x01\x00"s}},
      {"base24", {.length_bytes = 0, .delimiter = "\x03", .message_bytes_max = 4096}},
      {"base24_tcp", {.trailer = "\x03"}},
      {"etx", {.length_bytes = 0, .delimiter = "\x03"}},
      {"stx_etx", {.length_bytes = 0, .start = "\x02", .delimiter = "\x03"}},
      {"cr", {.length_bytes = 0, .delimiter = "\r"}},
      {"lf", {.length_bytes = 0, .delimiter = "\n"}},
      {"crlf", {.length_bytes = 0, .delimiter = "\r\n"}},
  };
  return all;
}

}  // namespace

std::optional<Framing> framing_named(std::string_view name) {
  for (const auto& [known, framing] : named_framings()) {
    if (known == name) return framing;
  }
  return std::nullopt;
}

std::vector<std::string> framing_names() {
  std::vector<std::string> names;
  for (const auto& [name, framing] : named_framings()) names.push_back(name);
  return names;
}

}  // namespace tlsmux::host
