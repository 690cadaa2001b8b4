#include "tests/simulation/message.hpp"

#include <algorithm>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::simulation {
namespace {

void write_number(std::span<std::byte> out, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) out[i] = std::byte(value >> (56 - 8 * i));
}

std::uint64_t read_number(std::span<const std::byte> from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | std::to_integer<std::uint64_t>(from[i]);
  return value;
}

void fill(std::span<std::byte> out, std::uint64_t number) {
  std::uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
  for (auto& byte : out) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = std::byte(state >> 56);
  }
}

}  // namespace

void write_request(std::span<std::byte> out, const RequestText& text) {
  TMX_ASSERT(out.size() == text.length);
  fill(out, text.number);
  if (text.length < text.key_offset + kRequestBytesMin) return;
  write_number(out.subspan(text.key_offset), text.key);
  write_number(out.subspan(text.key_offset + kKeyBytes), text.number);
}

std::optional<std::uint64_t> number_in(std::span<const std::byte> message, std::size_t key_offset) {
  if (message.size() < key_offset + kRequestBytesMin) return std::nullopt;
  return read_number(message.subspan(key_offset + kKeyBytes));
}

std::uint64_t key_in(std::span<const std::byte> message, std::size_t key_offset) {
  return read_number(message.subspan(key_offset));
}

// FNV-1a, 64 bits (RFC 9923).
std::uint64_t digest_of(std::span<const std::byte> message) {
  std::uint64_t digest = 0xcbf29ce484222325;
  for (const auto byte : message) digest = (digest ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return digest;
}

std::vector<std::byte> make_answer(std::span<const std::byte> request, std::size_t key_offset, std::size_t length) {
  TMX_ASSERT(length >= key_offset + kAnswerBytesMin);
  std::vector<std::byte> answer(length);
  fill(answer, digest_of(request));
  shm::copy_bytes(std::span(answer), request.first(key_offset + kRequestBytesMin));
  write_number(std::span(answer).subspan(key_offset + kRequestBytesMin), digest_of(request));
  return answer;
}

std::vector<std::byte> make_unsolicited(std::uint64_t key, std::size_t key_offset) {
  std::vector<std::byte> message(key_offset + kAnswerBytesMin);
  fill(message, key);
  write_number(std::span(message).subspan(key_offset), key);
  return message;
}

std::uint64_t digest_in(std::span<const std::byte> answer, std::size_t key_offset) {
  return read_number(answer.subspan(key_offset + kRequestBytesMin));
}

}  // namespace tlsmux::simulation
