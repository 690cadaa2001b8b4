// Nanoseconds of processor time for the correlation key of a typical authorization request: 16 fields, key 41 and 11.
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/iso8583/iso8583_spec_json.hpp"
#include "engine/message/correlation.hpp"

using namespace tlsmux;

namespace {

constexpr std::size_t kRounds = 2'000'000;

// Bits 2, 3, 4, 7, 11, 12, 13, 18, 22, 25, 32, 35, 37, 41, 42, 49.
constexpr std::string_view kAscii =
    "0100"
    "723844812"
    "8C08000"
    "165413330089010000"
    "000000"
    "000000010000"
    "1121220349"
    "000042"
    "220349"
    "1121"
    "5411"
    "051"
    "00"
    "06123456"
    "375413330089010000D28122011234567890123"
    "RRN000000042"
    "TERM0001"
    "MERCHANT0000001"
    "978";

std::string binary_message() {
  const std::string_view digits =
      "0100"
      "7238448128C08000"
      "165413330089010000"
      "000000"
      "000000010000"
      "1121220349"
      "000042"
      "220349"
      "1121"
      "5411"
      "0051"
      "00"
      "06123456"
      "3705413330089010000D28122011234567890123";
  std::string message;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    message += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  }
  return message + "RRN000000042" + "TERM0001" + "MERCHANT0000001" + std::string("\x09\x78", 2);
}

bool measure(const char* name, std::string text) {
  config::CorrelationSettings settings;
  settings.kind = config::CorrelationKind::iso8583;
  const auto spec = config::parse_iso8583_spec(*config::built_in_iso8583_spec(name));
  settings.iso8583.fields = std::make_shared<const config::Iso8583Spec>(*spec);
  const engine::message::Correlation correlation(settings);
  const auto message = std::as_writable_bytes(std::span(text));
  std::uint64_t sum = 0;
  const std::clock_t start = std::clock();
  for (std::size_t i = 0; i < kRounds; ++i) {
    const auto key = correlation.request_key(message);
    if (!key) {
      std::printf("%s: %s\n", name, engine::message::iso8583::text(key.error()).c_str());
      return false;
    }
    sum += std::to_integer<std::uint64_t>(key->bytes[key->length - 1U]);
  }
  const double time_ns = 1e9 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  std::printf("iso8583 key, %s, %zu bytes: %.1f ns (checksum %llu)\n", name, text.size(),
              time_ns / static_cast<double>(kRounds), static_cast<unsigned long long>(sum));
  return true;
}

}  // namespace

int main() {
  const bool ascii = measure("1987_ascii", std::string(kAscii));
  const bool binary = measure("1987_binary", binary_message());
  return ascii && binary ? 0 : 1;
}
