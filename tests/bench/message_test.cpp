#include <doctest/doctest.h>

#include <cstddef>
#include <span>
#include <vector>

#include "bench/message.hpp"

using namespace tlsmux::bench;

namespace {

constexpr MessageFacts kFacts{.client = 17, .sequence = 4711, .delay_us = 900};

// What the host makes of a request.
std::vector<std::byte> answer_to(const MessageFacts& facts, std::size_t bytes) {
  std::vector<std::byte> message(bytes);
  write_request(facts, message);
  message[kKindOffset] = kAnswerKind;
  return message;
}

}  // namespace

TEST_CASE("client.bench accepts the answer to a request, of every length") {
  for (std::size_t bytes = kMessageHeadBytes; bytes < 200; ++bytes) {
    CAPTURE(bytes);
    const auto answer = answer_to(kFacts, bytes);
    CHECK(is_answer_to(kFacts, bytes, answer));
    CHECK(sequence_of(answer) == kFacts.sequence);
  }
  CHECK(is_answer_to(kFacts, kMessageBytesMax, answer_to(kFacts, kMessageBytesMax)));
}

TEST_CASE("client.bench notices a wrong byte anywhere in an answer") {
  constexpr std::size_t kBytes = 301;
  auto answer = answer_to(kFacts, kBytes);
  for (std::size_t i = 0; i < kBytes; ++i) {
    CAPTURE(i);
    answer[i] ^= std::byte{0x10};
    CHECK_FALSE(is_answer_to(kFacts, kBytes, answer));
    answer[i] ^= std::byte{0x10};
  }
  CHECK(is_answer_to(kFacts, kBytes, answer));
}

TEST_CASE("client.bench takes neither a request nor another's answer for an answer") {
  std::vector<std::byte> request(300);
  write_request(kFacts, request);
  CHECK_FALSE(is_answer_to(kFacts, 300, request));
  auto other = kFacts;
  ++other.client;
  CHECK_FALSE(is_answer_to(other, 300, answer_to(kFacts, 300)));
  other = kFacts;
  ++other.sequence;
  CHECK_FALSE(is_answer_to(other, 300, answer_to(kFacts, 300)));
  CHECK_FALSE(is_answer_to(kFacts, 300, answer_to(kFacts, 299)));
}
