// Lengths on the wire, with bytes written by hand from the layouts' definitions.
#include "engine/message/framing.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace tlsmux;
using namespace std::string_view_literals;
using config::LengthEncoding;
using engine::message::Framing;
using engine::message::FramingError;

namespace {

constexpr std::uint32_t kMessageBytesMax = 100'000;

struct Layout {
  std::string_view name;
  LengthEncoding encoding;
  std::uint32_t length_bytes;
  bool includes_itself;
  std::uint32_t message_bytes_max;
};

Framing framing_of(const Layout& layout) {
  return Framing({.length_encoding = layout.encoding,
                  .length_bytes = layout.length_bytes,
                  .length_includes_itself = layout.includes_itself,
                  .message_bytes_max = layout.message_bytes_max});
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

constexpr auto kBinary = LengthEncoding::binary_be;
constexpr auto kAscii = LengthEncoding::ascii;

constexpr Layout kBinary1{"1 byte", kBinary, 1, false, 255};
constexpr Layout kBinary1Inclusive{"1 byte, inclusive", kBinary, 1, true, 254};
constexpr Layout kBinary2{"2 bytes", kBinary, 2, false, 65'535};
constexpr Layout kBinary2Inclusive{"2 bytes, inclusive", kBinary, 2, true, 65'533};
constexpr Layout kBinary3{"3 bytes", kBinary, 3, false, kMessageBytesMax};
constexpr Layout kBinary4{"4 bytes", kBinary, 4, false, kMessageBytesMax};
constexpr Layout kBinary4Inclusive{"4 bytes, inclusive", kBinary, 4, true, kMessageBytesMax};
constexpr Layout kBinary8{"8 bytes", kBinary, 8, false, kMessageBytesMax};
constexpr Layout kBinary8Inclusive{"8 bytes, inclusive", kBinary, 8, true, kMessageBytesMax};
constexpr Layout kAscii1{"1 digit", kAscii, 1, false, 9};
constexpr Layout kAscii4{"4 digits", kAscii, 4, false, 9'999};
constexpr Layout kAscii4Inclusive{"4 digits, inclusive", kAscii, 4, true, 9'995};
constexpr Layout kAscii8{"8 digits", kAscii, 8, false, kMessageBytesMax};

struct Length {
  Layout layout;
  std::size_t message_bytes;
  std::string_view header;
};

constexpr Length kLengths[] = {
    {kBinary1, 1, "\x01"sv},
    {kBinary1, 255, "\xff"sv},
    {kBinary1Inclusive, 1, "\x02"sv},
    {kBinary1Inclusive, 254, "\xff"sv},
    {kBinary2, 1, "\x00\x01"sv},
    {kBinary2, 300, "\x01\x2c"sv},
    {kBinary2, 65'535, "\xff\xff"sv},
    {kBinary2Inclusive, 1, "\x00\x03"sv},
    {kBinary2Inclusive, 300, "\x01\x2e"sv},
    {kBinary2Inclusive, 65'533, "\xff\xff"sv},
    {kBinary3, 66'000, "\x01\x01\xd0"sv},
    {kBinary4, 300, "\x00\x00\x01\x2c"sv},
    {kBinary4, 100'000, "\x00\x01\x86\xa0"sv},
    {kBinary4Inclusive, 300, "\x00\x00\x01\x30"sv},
    {kBinary8, 300, "\x00\x00\x00\x00\x00\x00\x01\x2c"sv},
    {kBinary8Inclusive, 300, "\x00\x00\x00\x00\x00\x00\x01\x34"sv},
    {kAscii1, 9, "9"sv},
    {kAscii4, 1, "0001"sv},
    {kAscii4, 300, "0300"sv},
    {kAscii4, 9'999, "9999"sv},
    {kAscii4Inclusive, 1, "0005"sv},
    {kAscii4Inclusive, 300, "0304"sv},
    {kAscii4Inclusive, 9'995, "9999"sv},
    {kAscii8, 100'000, "00100000"sv},
};

struct HostileLength {
  Layout layout;
  std::string_view header;
  FramingError error;
};

constexpr Layout limited(Layout layout, std::uint32_t message_bytes_max) {
  layout.message_bytes_max = message_bytes_max;
  return layout;
}

constexpr HostileLength kHostileLengths[] = {
    {limited(kBinary2, 100), "\x00\x65"sv, FramingError::too_long},
    {limited(kBinary2, 100), "\xff\xff"sv, FramingError::too_long},
    {limited(kBinary2Inclusive, 100), "\x00\x67"sv, FramingError::too_long},
    {kBinary2Inclusive, "\x00\x00"sv, FramingError::too_short},
    {kBinary2Inclusive, "\x00\x01"sv, FramingError::too_short},
    {kBinary4, "\x80\x00\x00\x00"sv, FramingError::too_long},
    {kBinary4, "\xff\xff\xff\xff"sv, FramingError::too_long},
    {kBinary4Inclusive, "\x00\x00\x00\x03"sv, FramingError::too_short},
    // Numbers that would wrap round if anything were added to them.
    {kBinary8, "\xff\xff\xff\xff\xff\xff\xff\xff"sv, FramingError::too_long},
    {kBinary8, "\x00\x00\x00\x01\x00\x00\x00\x00"sv, FramingError::too_long},
    {kBinary8Inclusive, "\xff\xff\xff\xff\xff\xff\xff\xff"sv, FramingError::too_long},
    {kBinary8Inclusive, "\x80\x00\x00\x00\x00\x00\x00\x08"sv, FramingError::too_long},
    {kBinary8Inclusive, "\x00\x00\x00\x00\x00\x00\x00\x07"sv, FramingError::too_short},
    {limited(kAscii4, 100), "0101"sv, FramingError::too_long},
    {kAscii4Inclusive, "0003"sv, FramingError::too_short},
    {kAscii4Inclusive, "0000"sv, FramingError::too_short},
    {kAscii8, "99999999"sv, FramingError::too_long},
    {kAscii4, "030/"sv, FramingError::not_a_number},  // the neighbours of '0' and '9'
    {kAscii4, "030:"sv, FramingError::not_a_number},
    {kAscii4, " 300"sv, FramingError::not_a_number},
    {kAscii4, "-300"sv, FramingError::not_a_number},
    {kAscii4, "+300"sv, FramingError::not_a_number},
    {kAscii4, "0x30"sv, FramingError::not_a_number},
    {kAscii4, "012A"sv, FramingError::not_a_number},
    {kAscii4, "\x01\x02\x03\x04"sv, FramingError::not_a_number},
    {kAscii4, "\xb0\xb1\xb2\xb3"sv, FramingError::not_a_number},
};

}  // namespace

TEST_CASE("framing.headers are written and read as the layouts say") {
  for (const auto& [layout, message_bytes, header] : kLengths) {
    CAPTURE(layout.name);
    CAPTURE(message_bytes);
    const Framing framing = framing_of(layout);
    REQUIRE(framing.header_bytes() == header.size());
    std::string written(header.size(), '?');
    framing.write_header(std::as_writable_bytes(std::span(written)), message_bytes);
    CHECK(written == header);
    const auto read = framing.read_header(bytes_of(header));
    REQUIRE(read.has_value());
    CHECK(*read == message_bytes);
  }
}

TEST_CASE("framing.a zero length is a keep-alive") {
  const std::pair<Layout, std::string_view> keep_alives[] = {{kBinary2, "\x00\x00"sv},
                                                             {kBinary2Inclusive, "\x00\x02"sv},
                                                             {kBinary4, "\x00\x00\x00\x00"sv},
                                                             {kBinary4Inclusive, "\x00\x00\x00\x04"sv},
                                                             {kAscii4, "0000"sv},
                                                             {kAscii4Inclusive, "0004"sv},
                                                             {kBinary8Inclusive, "\x00\x00\x00\x00\x00\x00\x00\x08"sv}};
  for (const auto& [layout, header] : keep_alives) {
    CAPTURE(layout.name);
    CHECK(framing_of(layout).read_header(bytes_of(header)) == std::size_t{0});
  }
}

TEST_CASE("framing.hostile lengths are errors") {
  for (const auto& [layout, header, error] : kHostileLengths) {
    CAPTURE(layout.name);
    CAPTURE(layout.message_bytes_max);
    const auto read = framing_of(layout).read_header(bytes_of(header));
    REQUIRE(!read.has_value());
    CHECK(read.error() == error);
  }
}

TEST_CASE("framing.each error has words of its own") {
  const std::string_view too_long = framing_error_text(FramingError::too_long);
  const std::string_view too_short = framing_error_text(FramingError::too_short);
  const std::string_view not_a_number = framing_error_text(FramingError::not_a_number);
  CHECK(!too_long.empty());
  CHECK(too_long != too_short);
  CHECK(too_short != not_a_number);
  CHECK(not_a_number != too_long);
}
