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

// Numbers and keys lie scattered, so that a client that scribbles into its own message does not hit upon another's.
constexpr std::uint64_t kScatter = 0x9e3779b97f4a7c15;

constexpr std::uint64_t inverse(std::uint64_t odd) {
  std::uint64_t result = odd;  // correct in the lowest three bits; each step of Newton's method doubles them
  for (int i = 0; i < 5; ++i) result *= 2 - odd * result;
  return result;
}
constexpr std::uint64_t kGather = inverse(kScatter);
static_assert(kScatter * kGather == 1);

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
  write_number(out.subspan(text.key_offset), text.key * kScatter);
  write_number(out.subspan(text.key_offset + kKeyBytes), text.number * kScatter);
}

std::optional<std::uint64_t> number_in(std::span<const std::byte> message, std::size_t key_offset) {
  if (message.size() < key_offset + kRequestBytesMin) return std::nullopt;
  return read_number(message.subspan(key_offset + kKeyBytes)) * kGather;
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

std::vector<std::byte> make_unsolicited(std::uint64_t chance, std::size_t key_offset) {
  std::vector<std::byte> message(key_offset + kAnswerBytesMin);
  fill(message, chance);
  return message;
}

std::uint64_t digest_in(std::span<const std::byte> answer, std::size_t key_offset) {
  return read_number(answer.subspan(key_offset + kRequestBytesMin));
}

}  // namespace tlsmux::simulation
