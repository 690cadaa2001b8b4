#include "engine/message/correlation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "engine/message/siphash.hpp"

using namespace tlsmux;
using namespace std::string_view_literals;
using engine::message::Correlation;
using engine::message::CorrelationError;
using engine::message::CorrelationKey;
using engine::message::CorrelationKeyHash;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

Correlation by_bytes(std::uint32_t offset, std::uint32_t length, std::vector<std::uint8_t> mask = {}) {
  return Correlation({.kind = config::CorrelationKind::bytes,
                      .offset = offset,
                      .length = length,
                      .mask = std::move(mask),
                      .iso8583 = {}});
}

std::string text_of(const CorrelationKey& key) { return {reinterpret_cast<const char*>(key.bytes.data()), key.length}; }

CorrelationKey key_of(std::string_view text) {
  const auto key = by_bytes(0, static_cast<std::uint32_t>(text.size())).request_key(bytes_of(text));
  REQUIRE(key.has_value());
  return *key;
}

}  // namespace

TEST_CASE("correlation.fifo needs no byte of the message") {
  const Correlation fifo(config::CorrelationSettings{});
  CHECK(fifo.in_order());
  CHECK(fifo.prefix_bytes() == 0);
}

TEST_CASE("correlation.the key is the run of bytes at the offset") {
  const auto correlation = by_bytes(4, 6);
  CHECK(!correlation.in_order());
  CHECK(correlation.prefix_bytes() == 10);
  const auto request = correlation.request_key(bytes_of("0200123456rest of the request"));
  const auto response = correlation.response_key(bytes_of("0210123456and of the answer"));
  REQUIRE(request.has_value());
  REQUIRE(response.has_value());
  CHECK(text_of(*request) == "123456");
  CHECK(*request == *response);
  CHECK(correlation.request_key(bytes_of("0200123457")) != request);
}

TEST_CASE("correlation.the prefix alone gives the key") {
  const auto correlation = by_bytes(4, 6);
  const auto whole = bytes_of("0200123456rest");
  CHECK(correlation.request_key(whole.first(correlation.prefix_bytes())) == correlation.request_key(whole));
}

TEST_CASE("correlation.masked bits do not count") {
  // The MTI's third digit differs between request and answer by its lowest nibble; then four bytes of trace number.
  const auto correlation = by_bytes(0, 8, {0xff, 0xff, 0xf0, 0x00, 0xff, 0xff, 0xff, 0x0f});
  const auto request = correlation.request_key(bytes_of("\x30\x32\x30\x30\x12\x34\x56\x78 request"sv));
  const auto answer = correlation.response_key(bytes_of("\x30\x32\x31\x35\x12\x34\x56\x98 answer"sv));
  const auto other = correlation.response_key(bytes_of("\x30\x32\x31\x35\x12\x34\x57\x78 answer"sv));
  REQUIRE(request.has_value());
  CHECK(text_of(*request) == "\x30\x32\x30\x00\x12\x34\x56\x08"sv);
  CHECK(request == answer);
  CHECK(request != other);
}

TEST_CASE("correlation.a message that ends before its key is an error") {
  const auto correlation = by_bytes(4, 6);
  for (std::size_t bytes = 0; bytes < 10; ++bytes) {
    CAPTURE(bytes);
    const auto message = bytes_of("0200123456").first(bytes);
    const auto request = correlation.request_key(message);
    const auto response = correlation.response_key(message);
    REQUIRE(!request.has_value());
    REQUIRE(!response.has_value());
    const CorrelationError too_short{.offset = static_cast<std::uint32_t>(message.size())};
    CHECK(request.error() == too_short);
    CHECK(response.error() == too_short);
  }
  CHECK(correlation.request_key(bytes_of("0200123456")).has_value());
}

TEST_CASE("correlation.the longest key at the farthest offset") {
  constexpr auto kLength = config::kCorrelationKeyBytesMax;
  constexpr auto kOffset = config::kKeyPrefixBytesMax - kLength;
  const auto correlation = by_bytes(kOffset, kLength);
  CHECK(correlation.prefix_bytes() == config::kKeyPrefixBytesMax);
  const std::string message = std::string(kOffset, '-') + std::string(kLength, 'k');
  const auto key = correlation.request_key(bytes_of(message));
  REQUIRE(key.has_value());
  CHECK(text_of(*key) == std::string(kLength, 'k'));
}

TEST_CASE("correlation.keys that differ in trailing zeros only are different keys") {
  const auto shorter = key_of("ab"sv);
  const auto longer = key_of("ab\0"sv);
  CHECK(shorter.bytes == longer.bytes);
  CHECK(shorter != longer);
  CHECK(CorrelationKeyHash{.seed = 1}(shorter) != CorrelationKeyHash{.seed = 1}(longer));
}

TEST_CASE("correlation.the hash follows the key and the seed") {
  const CorrelationKeyHash hash{.seed = 0x0123456789abcdef};
  CHECK(hash(key_of("000123TERMINAL")) == hash(key_of("000123TERMINAL")));
  CHECK(hash(key_of("000123TERMINAL")) != hash(key_of("000124TERMINAL")));
  CHECK(hash(key_of("000123TERMINAL")) != CorrelationKeyHash{.seed = 2}(key_of("000123TERMINAL")));
}

TEST_CASE("correlation.a million trace numbers do not crowd into few places of a table") {
  const CorrelationKeyHash hash{.seed = 42};
  std::vector<std::uint32_t> places(1U << 16);
  std::uint32_t fullest = 0;
  for (int number = 0; number < 1'000'000; ++number) {
    std::string text = std::to_string(number);
    text.insert(0, 6 - text.size(), '0');
    fullest = std::max(fullest, ++places[hash(key_of(text)) % places.size()]);
  }
  // On average 15; more than 60 anywhere has a probability below 1e-12 for a random function.
  CHECK(fullest <= 60);
}

TEST_CASE("correlation.SipHash gives the numbers of the paper and of OpenSSL") {
  // Key 00 01 ... 0f. Appendix A of the paper has the fifteen bytes 00 ... 0e; the others are from `openssl mac`.
  const engine::message::SipHashKey key{.low = 0x0706050403020100, .high = 0x0f0e0d0c0b0a0908};
  using engine::message::siphash_2_4;
  CHECK(siphash_2_4(key, bytes_of("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e"sv)) ==
        0xa129ca6149be45e5);
  CHECK(siphash_2_4(key, {}) == 0x726fdb47dd0e0e31);
  CHECK(siphash_2_4(key, bytes_of("\x00"sv)) == 0x74f839c593dc67fd);
  CHECK(siphash_2_4(key, bytes_of("\x00\x01\x02\x03\x04\x05\x06\x07"sv)) == 0x93f5f5799a932462);
  CHECK(siphash_2_4(key, bytes_of("412345678901234567"sv)) == 0x1c1d1097f16eefcb);
}
