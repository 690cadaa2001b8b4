// A stream in any pieces.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "engine/message/framing.hpp"

using namespace tlsmux;
using namespace std::string_view_literals;
using config::LengthEncoding;
using engine::message::FrameCutter;
using engine::message::Framing;
using engine::message::FramingError;

namespace {

using Messages = std::vector<std::string>;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::expected<void, FramingError> feed(FrameCutter& cutter, std::string_view text, Messages& messages) {
  return cutter.feed(bytes_of(text), [&](std::span<const std::byte> message) { messages.push_back(text_of(message)); });
}

Framing framing(LengthEncoding encoding, std::uint32_t length_bytes, bool includes_itself,
                std::uint32_t message_bytes_max = 40) {
  return Framing({.length_encoding = encoding,
                  .length_bytes = length_bytes,
                  .length_includes_itself = includes_itself,
                  .message_bytes_max = message_bytes_max});
}

struct Stream {
  std::string_view name;
  Framing framing;
  std::string_view bytes;  // "abc", a keep-alive, "d", "0123456789"
};

const Stream kStreams[] = {
    {"2 bytes", framing(LengthEncoding::binary_be, 2, false),
     "\x00\x03"
     "abc"
     "\x00\x00"
     "\x00\x01"
     "d"
     "\x00\x0a"
     "0123456789"sv},
    {"2 bytes, inclusive", framing(LengthEncoding::binary_be, 2, true),
     "\x00\x05"
     "abc"
     "\x00\x02"
     "\x00\x03"
     "d"
     "\x00\x0c"
     "0123456789"sv},
    {"4 bytes", framing(LengthEncoding::binary_be, 4, false),
     "\x00\x00\x00\x03"
     "abc"
     "\x00\x00\x00\x00"
     "\x00\x00\x00\x01"
     "d"
     "\x00\x00\x00\x0a"
     "0123456789"sv},
    {"8 bytes, inclusive", framing(LengthEncoding::binary_be, 8, true),
     "\x00\x00\x00\x00\x00\x00\x00\x0b"
     "abc"
     "\x00\x00\x00\x00\x00\x00\x00\x08"
     "\x00\x00\x00\x00\x00\x00\x00\x09"
     "d"
     "\x00\x00\x00\x00\x00\x00\x00\x12"
     "0123456789"sv},
    {"1 byte", framing(LengthEncoding::binary_be, 1, false),
     "\x03"
     "abc"
     "\x00"
     "\x01"
     "d"
     "\x0a"
     "0123456789"sv},
    {"4 digits", framing(LengthEncoding::ascii, 4, false), "0003abc00000001d00100123456789"sv},
    {"4 digits, inclusive", framing(LengthEncoding::ascii, 4, true), "0007abc00040005d00140123456789"sv},
};

const Messages kExpected = {"abc", "d", "0123456789"};

}  // namespace

TEST_CASE("framing.every split into two and three pieces gives the same messages") {
  for (const auto& stream : kStreams) {
    CAPTURE(stream.name);
    const auto size = stream.bytes.size();
    for (std::size_t first = 0; first <= size; ++first) {
      for (std::size_t second = first; second <= size; ++second) {
        CAPTURE(first);
        CAPTURE(second);
        FrameCutter cutter(stream.framing);
        Messages messages;
        REQUIRE(feed(cutter, stream.bytes.substr(0, first), messages));
        REQUIRE(feed(cutter, stream.bytes.substr(first, second - first), messages));
        REQUIRE(feed(cutter, stream.bytes.substr(second), messages));
        REQUIRE(messages == kExpected);
        REQUIRE(cutter.keep_alives() == 1);
        REQUIRE(cutter.at_boundary());
      }
    }
  }
}

TEST_CASE("framing.single bytes give the same messages") {
  for (const auto& stream : kStreams) {
    CAPTURE(stream.name);
    FrameCutter cutter(stream.framing);
    Messages messages;
    for (std::size_t i = 0; i < stream.bytes.size(); ++i) REQUIRE(feed(cutter, stream.bytes.substr(i, 1), messages));
    CHECK(messages == kExpected);
    CHECK(cutter.keep_alives() == 1);
    CHECK(cutter.at_boundary());
  }
}

TEST_CASE("framing.messages that lie whole in a piece are not copied") {
  const auto two_bytes = framing(LengthEncoding::binary_be, 2, false);
  FrameCutter cutter(two_bytes);
  std::string stream;
  for (int i = 0; i < 1000; ++i) stream += "\x00\x05hello"sv;
  std::vector<const std::byte*> places;
  const auto piece = bytes_of(stream);
  REQUIRE(cutter.feed(piece, [&](std::span<const std::byte> message) {
    CHECK(text_of(message) == "hello");
    places.push_back(message.data());
  }));
  REQUIRE(places.size() == 1000);
  for (std::size_t i = 0; i < places.size(); ++i) REQUIRE(places[i] == piece.data() + 7 * i + 2);
}

TEST_CASE("framing.a message whose length came before it is not copied either") {
  const auto two_bytes = framing(LengthEncoding::binary_be, 2, false);
  FrameCutter cutter(two_bytes);
  Messages none;
  REQUIRE(feed(cutter, "\x00\x05"sv, none));
  CHECK(!cutter.at_boundary());
  const auto piece = bytes_of("hello\x00\x01"sv);
  std::vector<const std::byte*> places;
  REQUIRE(cutter.feed(piece, [&](std::span<const std::byte> message) { places.push_back(message.data()); }));
  REQUIRE(places.size() == 1);
  CHECK(places[0] == piece.data());
  CHECK(none.empty());
  CHECK(!cutter.at_boundary());
}

TEST_CASE("framing.a message of the greatest length passes in pieces") {
  const auto four_bytes = framing(LengthEncoding::binary_be, 4, false, 100'000);
  FrameCutter cutter(four_bytes);
  const std::string body(100'000, 'x');
  const std::string stream = std::string("\x00\x01\x86\xa0"sv) + body;
  Messages messages;
  for (std::size_t at = 0; at < stream.size(); at += 1460) {
    REQUIRE(feed(cutter, std::string_view(stream).substr(at, 1460), messages));
  }
  CHECK(messages == Messages{body});
}

TEST_CASE("framing.an error comes with the length and not with the message") {
  const auto eight_bytes = framing(LengthEncoding::binary_be, 8, false);
  FrameCutter cutter(eight_bytes);
  Messages messages;
  REQUIRE(feed(cutter, "\x7f\xff\xff\xff\xff\xff\xff"sv, messages));
  const auto fed = feed(cutter, "\xff"sv, messages);
  REQUIRE(!fed.has_value());
  CHECK(fed.error() == FramingError::too_long);
  CHECK(messages.empty());
}

TEST_CASE("framing.messages before an error are delivered and nothing after it") {
  const auto digits = framing(LengthEncoding::ascii, 4, false);
  FrameCutter cutter(digits);
  Messages messages;
  const auto fed = feed(cutter, "0003abcGARBAGE0001d"sv, messages);
  REQUIRE(!fed.has_value());
  CHECK(fed.error() == FramingError::not_a_number);
  CHECK(messages == Messages{"abc"});
  const auto again = feed(cutter, "0001d"sv, messages);
  REQUIRE(!again.has_value());
  CHECK(again.error() == FramingError::not_a_number);
  CHECK(messages == Messages{"abc"});
}

TEST_CASE("framing.any number of keep-alives calls nothing and is counted") {
  const auto two_bytes = framing(LengthEncoding::binary_be, 2, false);
  FrameCutter cutter(two_bytes);
  Messages messages;
  REQUIRE(feed(cutter, std::string(2001, '\0'), messages));
  CHECK(cutter.keep_alives() == 1000);
  CHECK(!cutter.at_boundary());
  REQUIRE(feed(cutter, "\0"sv, messages));
  CHECK(cutter.keep_alives() == 1001);
  CHECK(cutter.at_boundary());
  CHECK(messages.empty());
}

TEST_CASE("framing.empty pieces change nothing") {
  const auto two_bytes = framing(LengthEncoding::binary_be, 2, false);
  FrameCutter cutter(two_bytes);
  Messages messages;
  REQUIRE(feed(cutter, ""sv, messages));
  CHECK(cutter.at_boundary());
  REQUIRE(feed(cutter, "\x00\x02x"sv, messages));
  REQUIRE(feed(cutter, ""sv, messages));
  CHECK(!cutter.at_boundary());
  REQUIRE(feed(cutter, "y"sv, messages));
  CHECK(messages == Messages{"xy"});
}
