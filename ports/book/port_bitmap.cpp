#include "ports/book/port_bitmap.hpp"

#include <bit>

namespace tlsmux::ports {
namespace {

constexpr std::uint32_t kBits = 64;

constexpr std::uint64_t bit(std::uint32_t index) { return std::uint64_t{1} << (index % kBits); }

// The bits from `index` on.
constexpr std::uint64_t from(std::uint32_t index) { return ~std::uint64_t{0} << (index % kBits); }

constexpr std::uint32_t lowest(std::uint64_t word) { return static_cast<std::uint32_t>(std::countr_zero(word)); }

}  // namespace

void PortBitmap::put(std::uint16_t port) {
  if (is_free(port)) return;
  const std::uint32_t word = port / kBits;
  ports_[word] |= bit(port);
  words_[word / kBits] |= bit(word);
  ++free_;
}

void PortBitmap::take(std::uint16_t port) {
  if (!is_free(port)) return;
  const std::uint32_t word = port / kBits;
  ports_[word] &= ~bit(port);
  if (ports_[word] == 0) words_[word / kBits] &= ~bit(word);
  --free_;
}

bool PortBitmap::is_free(std::uint16_t port) const { return (ports_[port / kBits] & bit(port)) != 0; }

std::optional<std::uint16_t> PortBitmap::take_next() {
  auto port = next_from(cursor_);
  if (!port) port = next_from(0);
  if (!port) return std::nullopt;
  take(*port);
  cursor_ = (*port + 1U) % 65536;
  return port;
}

// In at most 18 steps: the rest of the port's word, the rest of that word's group, the groups behind it.
std::optional<std::uint16_t> PortBitmap::next_from(std::uint32_t port) const {
  const auto found = [this](std::uint32_t word, std::uint64_t among) {
    return static_cast<std::uint16_t>(word * kBits + lowest(ports_[word] & among));
  };
  const std::uint32_t word = port / kBits;
  if ((ports_[word] & from(port)) != 0) return found(word, from(port));
  const std::uint32_t next = word + 1;
  if (next == ports_.size()) return std::nullopt;
  auto among = from(next);
  for (auto group = next / kBits; group < words_.size(); ++group) {
    if (const auto words = words_[group] & among; words != 0)
      return found(group * kBits + lowest(words), ~std::uint64_t{0});
    among = ~std::uint64_t{0};
  }
  return std::nullopt;
}

}  // namespace tlsmux::ports
