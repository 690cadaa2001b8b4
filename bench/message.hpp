#pragma once

// The messages of the benchmark: what a client asks, what the host makes of it, and what the client accepts as its
// answer. Everything is little-endian, as the machine is.
//
//   0  key      16 bytes: client, sequence; equal in request and answer, and in no other message in flight
//   16 delay_us  4 bytes: how long the host is to wait before it answers
//   20 kind      1 byte: Q, in the answer A
//   21 filler    different in each message
//
// On the wire a length of two bytes, big-endian, stands before each (the preset `length16`).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace tlsmux::bench {

inline constexpr std::size_t kMessageKeyBytes = 16;
inline constexpr std::size_t kMessageHeadBytes = 24;  // and so long at least
inline constexpr std::size_t kMessageBytesMax = 16 * 1024;
inline constexpr std::size_t kFrameHeadBytes = 2;
inline constexpr std::size_t kDelayOffset = 16;
inline constexpr std::size_t kKindOffset = 20;
inline constexpr std::byte kRequestKind{'Q'};
inline constexpr std::byte kAnswerKind{'A'};

struct MessageFacts {
  std::uint64_t client = 0;
  std::uint64_t sequence = 0;
  std::uint32_t delay_us = 0;
};

// Bits that look random and depend on nothing but `value` (the finalizer of splitmix64).
constexpr std::uint64_t scatter(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

namespace detail {

// The word of filler at `offset`, which is a multiple of 8.
constexpr std::uint64_t filler(const MessageFacts& facts, std::size_t offset) {
  return (facts.client * 0x9e3779b97f4a7c15 + facts.sequence) ^ (offset * 0x0101010101010101);
}

inline std::uint64_t head_word(const MessageFacts& facts, std::byte kind) {
  return facts.delay_us | std::uint64_t{static_cast<unsigned char>(kind)} << 32;
}

// Calls `word(offset, value)` for each whole word of the message, then `rest(offset, value)` for the last bytes.
template <typename Word, typename Rest>
void for_each_word(const MessageFacts& facts, std::byte kind, std::size_t bytes, Word word, Rest rest) {
  word(std::size_t{0}, facts.client);
  word(std::size_t{8}, facts.sequence);
  word(kDelayOffset, head_word(facts, kind));
  std::size_t offset = kMessageHeadBytes;
  for (; offset + 8 <= bytes; offset += 8) word(offset, filler(facts, offset));
  if (offset < bytes) rest(offset, filler(facts, offset));
}

}  // namespace detail

// Fills `message`, which has kMessageHeadBytes to kMessageBytesMax bytes.
inline void write_request(const MessageFacts& facts, std::span<std::byte> message) {
  detail::for_each_word(
      facts, kRequestKind, message.size(),
      [&](std::size_t offset, std::uint64_t value) { std::memcpy(&message[offset], &value, 8); },
      [&](std::size_t offset, std::uint64_t value) { std::memcpy(&message[offset], &value, message.size() - offset); });
}

// Whether it is the answer to that request, byte for byte.
inline bool is_answer_to(const MessageFacts& facts, std::size_t request_bytes, std::span<const std::byte> answer) {
  if (answer.size() != request_bytes) return false;
  std::uint64_t differences = 0;
  detail::for_each_word(
      facts, kAnswerKind, answer.size(),
      [&](std::size_t offset, std::uint64_t value) {
        std::uint64_t there = 0;
        std::memcpy(&there, &answer[offset], 8);
        differences |= there ^ value;
      },
      [&](std::size_t offset, std::uint64_t value) {
        std::uint64_t there = 0;
        std::memcpy(&there, &answer[offset], answer.size() - offset);
        std::uint64_t wanted = 0;
        std::memcpy(&wanted, &value, answer.size() - offset);
        differences |= there ^ wanted;
      });
  return differences == 0;
}

// Of an answer, to find the request it belongs to. Requires kMessageHeadBytes.
inline std::uint64_t sequence_of(std::span<const std::byte> message) {
  std::uint64_t sequence = 0;
  std::memcpy(&sequence, &message[8], 8);
  return sequence;
}

}  // namespace tlsmux::bench
