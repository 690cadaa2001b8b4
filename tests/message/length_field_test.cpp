// Lengths in each spelling, with bytes written by hand.
#include "engine/message/length_field.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "config/length_field.hpp"

using namespace tlsmux;
using namespace std::string_view_literals;
using engine::message::FramingError;
using engine::message::read_length;
using engine::message::write_length;
using enum config::LengthEncoding;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

struct Spelling {
  config::LengthEncoding encoding;
  std::uint64_t value;
  std::string_view bytes;
};

const Spelling kSpellings[] = {
    {binary_be, 0, "\x00"sv},
    {binary_be, 255, "\xff"sv},
    {binary_be, 300, "\x01\x2c"sv},
    {binary_be, 65'535, "\xff\xff"sv},
    {binary_be, 300, "\x00\x01\x2c"sv},
    {binary_be, 16'777'215, "\xff\xff\xff"sv},
    {binary_be, 100'000, "\x00\x01\x86\xa0"sv},
    {binary_be, 300, "\x00\x00\x00\x00\x00\x00\x01\x2c"sv},
    {binary_be, ~0ULL, "\xff\xff\xff\xff\xff\xff\xff\xff"sv},
    {binary_le, 300, "\x2c\x01"sv},
    {binary_le, 1, "\x01\x00"sv},
    {binary_le, 100'000, "\xa0\x86\x01\x00"sv},
    {binary_le, 1ULL << 63, "\x00\x00\x00\x00\x00\x00\x00\x80"sv},
    {ascii, 0, "0000"sv},
    {ascii, 42, "0042"sv},
    {ascii, 9999, "9999"sv},
    {ascii, 99'999'999, "99999999"sv},
    {hex, 0, "0000"sv},
    {hex, 300, "012C"sv},
    {hex, 0xabcdef, "00ABCDEF"sv},
    {hex, 65'535, "FFFF"sv},
    {bcd, 0, "\x00\x00"sv},
    {bcd, 300, "\x03\x00"sv},
    {bcd, 1234, "\x12\x34"sv},
    {bcd, 9999, "\x99\x99"sv},
    {bcd, 9'999'999'999'999'999, "\x99\x99\x99\x99\x99\x99\x99\x99"sv},
};

}  // namespace

TEST_CASE("framing.lengths are written and read in each encoding") {
  for (const auto& [encoding, value, bytes] : kSpellings) {
    CAPTURE(encoding);
    CAPTURE(value);
    std::string written(bytes.size(), '?');
    write_length(encoding, std::as_writable_bytes(std::span(written)), value);
    CHECK(written == bytes);
    CHECK(read_length(encoding, bytes_of(bytes)) == value);
  }
}

TEST_CASE("framing.hexadecimal digits are read in both cases") {
  CHECK(read_length(hex, bytes_of("00ff")) == 255U);
  CHECK(read_length(hex, bytes_of("aBcD")) == 0xabcdU);
}

TEST_CASE("framing.what is no digit is an error") {
  const std::pair<config::LengthEncoding, std::string_view> hostile[] = {
      {ascii, "030/"sv},
      {ascii, "030:"sv},  // the neighbours of '0' and '9'
      {ascii, " 300"sv},
      {ascii, "-300"sv},
      {ascii, "+300"sv},
      {ascii, "0x30"sv},
      {ascii, "012A"sv},
      {ascii, "\x01\x02\x03\x04"sv},
      {ascii, "\xb0\xb1\xb2\xb3"sv},
      {hex, "00/0"sv},
      {hex, "00:0"sv},
      {hex, "00@0"sv},
      {hex, "00G0"sv},
      {hex, "00`0"sv},
      {hex, "00g0"sv},
      {hex, "0x10"sv},
      {hex, "\x00\x01\x02\x0f"sv},
      {bcd, "\x0a\x00"sv},
      {bcd, "\xa0\x00"sv},
      {bcd, "\x00\x0f"sv},
      {bcd, "\x00\xf0"sv},
      {bcd, "\xff\xff"sv},
      {bcd, "\x3a\x00"sv},
  };
  for (const auto& [encoding, bytes] : hostile) {
    CAPTURE(encoding);
    CAPTURE(bytes);
    const auto read = read_length(encoding, bytes_of(bytes));
    REQUIRE(!read.has_value());
    CHECK(read.error() == FramingError::not_a_number);
  }
}

TEST_CASE("framing.the largest length of a field is what it can state") {
  CHECK(config::largest_length(binary_be, 1) == 255);
  CHECK(config::largest_length(binary_be, 3) == 16'777'215);
  CHECK(config::largest_length(binary_le, 2) == 65'535);
  CHECK(config::largest_length(binary_be, 8) == ~0ULL);
  CHECK(config::largest_length(ascii, 4) == 9999);
  CHECK(config::largest_length(ascii, 8) == 99'999'999);
  CHECK(config::largest_length(hex, 4) == 65'535);
  CHECK(config::largest_length(bcd, 2) == 9999);
  CHECK(config::largest_length(bcd, 8) == 9'999'999'999'999'999);
}
