// What a FrameCutter promises beyond the presets' layouts.
#include "engine/message/frame_cutter.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "config/framing_presets.hpp"
#include "tests/message/frames.hpp"

using namespace tlsmux;
using namespace std::string_view_literals;
using engine::message::Frame;
using engine::message::FrameCutter;
using engine::message::Framing;
using engine::message::FramingError;
using test::bytes_of;
using test::feed;
using test::Messages;
using test::text_of;

namespace {

config::FramingSettings preset(std::string_view name, std::uint32_t message_bytes_max = 40) {
  auto settings = std::ranges::find(config::framing_presets(), name, &config::FramingPreset::name)->settings;
  settings.message_bytes_max = message_bytes_max;
  return settings;
}

// Where the messages of a stream lie.
std::vector<const std::byte*> places_of(FrameCutter& cutter, std::span<const std::byte> piece) {
  std::vector<const std::byte*> places;
  REQUIRE(cutter.feed(piece, [&](const Frame& frame) { places.push_back(frame.message.data()); }));
  return places;
}

}  // namespace

TEST_CASE("framing.messages that lie whole in a piece are not copied") {
  const std::pair<std::string_view, std::string_view> frames[] = {
      {"length16", "\x00\x05hello"sv}, {"crlf", "hello\r\n"sv}, {"base24_tcp", "\x00\x06hello\x03"sv}};
  for (const auto& [name, frame] : frames) {
    CAPTURE(name);
    const Framing framing(preset(name));
    FrameCutter cutter(framing);
    std::string stream;
    for (int i = 0; i < 1000; ++i) stream += frame;
    const auto piece = bytes_of(stream);
    const auto places = places_of(cutter, piece);
    REQUIRE(places.size() == 1000);
    for (std::size_t i = 0; i < places.size(); ++i) {
      REQUIRE(places[i] == piece.data() + frame.size() * i + frame.find("hello"));
    }
  }
}

TEST_CASE("framing.a message whose length came before it is not copied either") {
  const Framing framing(preset("length16"));
  FrameCutter cutter(framing);
  Messages none;
  REQUIRE(feed(cutter, "\x00\x05"sv, none));
  CHECK(!cutter.at_boundary());
  const auto piece = bytes_of("hello\x00\x01"sv);
  CHECK(places_of(cutter, piece) == std::vector{piece.data()});
  CHECK(none.empty());
  CHECK(!cutter.at_boundary());
}

TEST_CASE("framing.a long message passes in pieces") {
  for (const auto* const name : {"length32", "lf", "rbp"}) {
    CAPTURE(name);
    const std::uint32_t bytes = name == "rbp"sv ? 60'000 : 100'000;
    const Framing framing(preset(name, bytes));
    FrameCutter cutter(framing);
    const std::string body(bytes, 'x');
    const auto stream = test::frame_of(framing, body);
    Messages messages;
    for (std::size_t at = 0; at < stream.size(); at += 1460) {
      REQUIRE(feed(cutter, std::string_view(stream).substr(at, 1460), messages));
    }
    CHECK(messages == Messages{body});
  }
}

TEST_CASE("framing.an error comes with the length and not with the message") {
  const Framing framing({.length_bytes = 8});
  FrameCutter cutter(framing);
  Messages messages;
  REQUIRE(feed(cutter, "\x7f\xff\xff\xff\xff\xff\xff"sv, messages));
  const auto fed = feed(cutter, "\xff"sv, messages);
  REQUIRE(!fed.has_value());
  CHECK(fed.error() == FramingError::too_long);
  CHECK(messages.empty());
}

TEST_CASE("framing.messages before an error are delivered and nothing after it") {
  const Framing framing(preset("ascii4"));
  FrameCutter cutter(framing);
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
  const Framing framing(preset("length16"));
  FrameCutter cutter(framing);
  CHECK(cutter.last_keep_alive().empty());
  Messages messages;
  REQUIRE(feed(cutter, std::string(2001, '\0'), messages));
  CHECK(cutter.keep_alives() == 1000);
  CHECK(!cutter.at_boundary());
  REQUIRE(feed(cutter, "\0"sv, messages));
  CHECK(cutter.keep_alives() == 1001);
  CHECK(cutter.at_boundary());
  CHECK(messages.empty());
}

TEST_CASE("framing.a keep-alive is kept byte for byte, however the host spells it") {
  struct Spelling {
    std::string_view preset;
    std::string_view frame;
  };
  for (const auto& [name, frame] : {Spelling{"amex", "\x00\x00"sv}, Spelling{"amex", "\x00\x02"sv},
                                    Spelling{"base24_tcp", "\x00\x00"sv}, Spelling{"base24_tcp", "\x00\x01\x03"sv},
                                    Spelling{"vml", "\x00\x00\x00\x40"sv}, Spelling{"stx_etx", "\x02\x03"sv}}) {
    const Framing framing(preset(name));
    for (std::size_t split = 0; split <= frame.size(); ++split) {
      FrameCutter cutter(framing);
      Messages messages;
      REQUIRE(feed(cutter, frame.substr(0, split), messages));
      REQUIRE(feed(cutter, frame.substr(split), messages));
      CHECK(cutter.keep_alives() == 1);
      CHECK(text_of(cutter.last_keep_alive()) == frame);
      CHECK(messages.empty());
    }
  }
}

TEST_CASE("framing.a frame with a header and no message is a keep-alive") {
  auto settings = preset("nac");
  settings.header = {0x60, 0, 1, 0, 2};
  const Framing framing(settings);
  FrameCutter cutter(framing);
  Messages messages;
  constexpr auto kFrame =
      "\x00\x05"
      "\x60\x00\x02\x00\x01"sv;
  REQUIRE(feed(cutter, kFrame, messages));
  CHECK(messages.empty());
  CHECK(cutter.keep_alives() == 1);
  CHECK(text_of(cutter.last_keep_alive()) == kFrame);
}

TEST_CASE("framing.the received header is handed out with its message, whole or in pieces") {
  auto settings = preset("ncc");
  settings.header = {0x60, 0, 1, 0, 2};
  const Framing framing(settings);
  constexpr auto kStream =
      "\x00\x08"
      "\x60\x12\x34\x56\x78"
      "abc"
      "\x00\x15"
      "\x61\x00\x00\x00\x03"
      "0123456789"sv;
  for (std::size_t split = 0; split <= kStream.size(); ++split) {
    FrameCutter cutter(framing);
    Messages frames;
    const auto keep = [&](const Frame& frame) {
      frames.push_back(text_of(frame.received_header) + " " + text_of(frame.message));
    };
    REQUIRE(cutter.feed(bytes_of(kStream.substr(0, split)), keep));
    REQUIRE(cutter.feed(bytes_of(kStream.substr(split)), keep));
    CHECK(frames == Messages{"\x60\x12\x34\x56\x78 abc", std::string("\x61\x00\x00\x00\x03 0123456789"sv)});
  }
}

TEST_CASE("framing.a delimiter in a header or across its end is none") {
  auto settings = preset("stx_etx");
  settings.header = {0x60, 0, 1, 0, 2};
  const Framing framing(settings);
  FrameCutter cutter(framing);
  Messages messages;
  REQUIRE(feed(cutter,
               "\x02"
               "\x60\x03\x03\x00\x03"
               "abc\x03"sv,
               messages));
  CHECK(messages == Messages{"abc"});
  CHECK(cutter.at_boundary());
}

TEST_CASE("framing.a delimited frame without its header or trailer is too short") {
  auto settings = preset("lf");
  settings.header = {'H'};
  settings.trailer = {'T'};
  const Framing framing(settings);
  FrameCutter cutter(framing);
  Messages messages;
  REQUIRE(feed(cutter, "HabcT\nHT\n", messages));
  CHECK(messages == Messages{"abc"});
  CHECK(cutter.keep_alives() == 1);
  CHECK(feed(cutter, "T\n", messages).error() == FramingError::too_short);
}

TEST_CASE("framing.session control is counted and not delivered") {
  const Framing framing(preset("vml"));
  constexpr auto kStream =
      "\x00\x03\x00\x00"
      "abc"
      "\x00\x02\x00\x20"
      "??"
      "\x00\x00\x00\x21"
      "\x00\x01\x00\x10"
      "d"sv;
  for (std::size_t split = 0; split <= kStream.size(); ++split) {
    FrameCutter cutter(framing);
    Messages messages;
    REQUIRE(feed(cutter, kStream.substr(0, split), messages));
    REQUIRE(feed(cutter, kStream.substr(split), messages));
    CHECK(messages == Messages{"abc", "d"});
    CHECK(cutter.controls() == 2);
    CHECK(cutter.keep_alives() == 0);
  }
}

TEST_CASE("framing.parts of a message are joined, whatever pieces they come in") {
  const Framing framing(preset("rbp", 10));
  constexpr auto kStream =
      "\xd0\x4a\x00\x02\x00\x00"
      "ab"  // one
      "\xd0\x4a\x00\x03\x01\x00"
      "012"
      "\xd0\x4a\x00\x04\x01\x00"
      "3456"
      "\xd0\x4a\x00\x03\x00\x00"
      "789"                       // three
      "\xd0\x4a\x00\x00\x00\x00"  // keep-alive
      "\xd0\x4a\x00\x01\x01\x00"
      "x"
      "\xd0\x4a\x00\x00\x00\x00"  // the last part is empty
      "\xd0\x4a\x00\x01\x00\x00"
      "y"sv;
  for (std::size_t first = 0; first <= kStream.size(); ++first) {
    for (std::size_t second = first; second <= kStream.size(); ++second) {
      FrameCutter cutter(framing);
      Messages messages;
      REQUIRE(feed(cutter, kStream.substr(0, first), messages));
      REQUIRE(feed(cutter, kStream.substr(first, second - first), messages));
      REQUIRE(feed(cutter, kStream.substr(second), messages));
      REQUIRE(messages == Messages{"ab", "0123456789", "x", "y"});
      REQUIRE(cutter.keep_alives() == 1);
      REQUIRE(cutter.at_boundary());
    }
  }
}

TEST_CASE("framing.the limit holds for the sum of parts, before the part that breaks it") {
  const Framing framing(preset("rbp", 10));
  FrameCutter cutter(framing);
  Messages messages;
  REQUIRE(feed(cutter,
               "\xd0\x4a\x00\x06\x01\x00"
               "012345"sv,
               messages));
  CHECK(!cutter.at_boundary());
  CHECK(feed(cutter, "\xd0\x4a\x00\x05\x00\x00"sv, messages).error() == FramingError::too_long);
  CHECK(messages.empty());
}

TEST_CASE("framing.empty pieces change nothing") {
  for (const auto& [name, stream] : {std::pair{"length16", "\x00\x02xy"sv}, std::pair{"crlf", "xy\r\n"sv}}) {
    const Framing framing(preset(name));
    FrameCutter cutter(framing);
    Messages messages;
    REQUIRE(feed(cutter, ""sv, messages));
    CHECK(cutter.at_boundary());
    REQUIRE(feed(cutter, stream.substr(0, 3), messages));
    REQUIRE(feed(cutter, ""sv, messages));
    CHECK(!cutter.at_boundary());
    REQUIRE(feed(cutter, stream.substr(3), messages));
    CHECK(messages == Messages{"xy"});
  }
}
