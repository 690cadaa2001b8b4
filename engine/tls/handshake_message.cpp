#include "engine/tls/handshake_message.hpp"

#include <cstddef>
#include <optional>

namespace tlsmux::engine::tls {
namespace {

constexpr std::uint8_t kServerHello = 2;
constexpr std::uint8_t kServerKeyExchange = 12;

// Takes fields off the front; once one was not there, all further ones are missing too.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> rest) : rest_(rest) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }

  std::optional<std::span<const std::uint8_t>> bytes(std::size_t count) {
    if (count > rest_.size()) {
      rest_ = {};
      return std::nullopt;
    }
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  std::optional<std::size_t> number(std::size_t size) {
    const auto field = bytes(size);
    if (!field) return std::nullopt;
    std::size_t value = 0;
    for (const std::uint8_t byte : *field) value = (value << 8) | byte;
    return value;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

void skip_to_suite(Reader& reader) {
  reader.bytes(3 + 2 + 32);  // length, version, random
  if (const auto session_id_size = reader.number(1)) reader.bytes(*session_id_size);
}

}  // namespace

std::optional<std::uint16_t> server_hello_suite(std::span<const std::uint8_t> message) {
  Reader reader(message);
  if (reader.number(1) != kServerHello) return std::nullopt;
  skip_to_suite(reader);
  const auto suite = reader.number(2);
  if (!suite) return std::nullopt;
  return static_cast<std::uint16_t>(*suite);
}

bool server_hello_has_extension(std::span<const std::uint8_t> message, std::uint16_t type) {
  Reader reader(message);
  if (reader.number(1) != kServerHello) return false;
  skip_to_suite(reader);
  reader.bytes(2 + 1);  // suite, compression
  reader.number(2);     // size of the extensions
  while (!reader.at_end()) {
    const auto found = reader.number(2);
    const auto size = reader.number(2);
    if (!found || !size || !reader.bytes(*size)) return false;
    if (*found == type) return true;
  }
  return false;
}

bool is_key_exchange_signed_with_pss(std::span<const std::uint8_t> message) {
  Reader reader(message);
  if (reader.number(1) != kServerKeyExchange) return false;
  reader.bytes(3 + 1 + 2);  // length, kind of curve, curve
  if (const auto point_size = reader.number(1)) reader.bytes(*point_size);
  const auto scheme = reader.number(2);
  return scheme && *scheme >= 0x0804 && *scheme <= 0x0806;
}

}  // namespace tlsmux::engine::tls
