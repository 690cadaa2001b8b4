#include "engine/tls/key_log.hpp"

#include <array>
#include <cstddef>

#include "engine/tls/secret_bytes.hpp"
#include "engine/tls/session_state.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::tls {
namespace {

constexpr std::size_t kLabelBytesMax = 32;
constexpr std::size_t kRandomBytes = 32;
constexpr std::size_t kLineBytesMax = kLabelBytesMax + 1 + 2 * kRandomBytes + 1 + 2 * kSecretBytesMax + 1;

struct Line {
  std::array<char, kLineBytesMax> text;
  std::size_t size;
};

void add(Line& line, std::string_view text) {
  for (const char character : text) line.text[line.size++] = character;
}

void add_hexadecimal(Line& line, std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    line.text[line.size++] = kDigits[byte >> 4];
    line.text[line.size++] = kDigits[byte & 15];
  }
}

}  // namespace

void log_secret(KeyLog& log, std::string_view label, std::span<const std::uint8_t> client_random,
                std::span<const std::uint8_t> secret) noexcept {
  TMX_ASSERT(label.size() <= kLabelBytesMax);
  TMX_ASSERT(client_random.size() == kRandomBytes);
  TMX_ASSERT(secret.size() <= kSecretBytesMax);
  Wiped<Line> line;
  add(*line, label);
  add(*line, " ");
  add_hexadecimal(*line, client_random);
  add(*line, " ");
  add_hexadecimal(*line, secret);
  add(*line, "\n");
  log.append(std::string_view(line->text.data(), line->size));
}

}  // namespace tlsmux::engine::tls
