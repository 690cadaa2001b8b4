#include "config/length_field.hpp"

namespace tlsmux::config {
namespace {

// What one byte of the length counts to.
std::uint64_t values_of_byte(LengthEncoding encoding) {
  switch (encoding) {
    case LengthEncoding::binary_be:
    case LengthEncoding::binary_le: return 256;
    case LengthEncoding::ascii: return 10;
    case LengthEncoding::hex: return 16;
    case LengthEncoding::bcd: return 100;
  }
  return 256;
}

}  // namespace

std::uint64_t largest_length(LengthEncoding encoding, std::uint32_t length_bytes) {
  const std::uint64_t base = values_of_byte(encoding);
  std::uint64_t largest = 0;
  for (std::uint32_t i = 0; i < length_bytes; ++i) largest = largest * base + (base - 1);
  return largest;
}

}  // namespace tlsmux::config
