#pragma once

// What clients ask and hosts answer. A message says which request it belongs to, so that every byte on a wire and
// every answer can be traced:
//
//   key_offset bytes of filler | key (8) | request's number (8) | filler           a request
//   key_offset bytes of filler | key (8) | request's number (8) | digest (8) | ... an answer to what was heard
//
// Filler follows from the number, so that a single changed byte shows.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tlsmux::simulation {

inline constexpr std::size_t kKeyBytes = 8;
inline constexpr std::size_t kRequestBytesMin = 16;  // behind the offset
inline constexpr std::size_t kAnswerBytesMin = 24;

struct RequestText {
  std::uint64_t number = 0;
  std::uint64_t key = 0;
  std::size_t key_offset = 0;
  std::size_t length = 0;  // too short for a number: filler only
};

// Requires out.size() == text.length.
void write_request(std::span<std::byte> out, const RequestText& text);

// The request's number in a request or answer; nothing if the message is too short to have one.
std::optional<std::uint64_t> number_in(std::span<const std::byte> message, std::size_t key_offset);

std::uint64_t digest_of(std::span<const std::byte> message);

// An answer of `length` bytes to `request`, as it was heard. Requires length >= key_offset + kAnswerBytesMin.
std::vector<std::byte> make_answer(std::span<const std::byte> request, std::size_t key_offset, std::size_t length);
// A message of that length that answers nothing.
std::vector<std::byte> make_unsolicited(std::uint64_t chance, std::size_t key_offset);
std::uint64_t digest_in(std::span<const std::byte> answer, std::size_t key_offset);

}  // namespace tlsmux::simulation
