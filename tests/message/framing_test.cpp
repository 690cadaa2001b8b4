// What is put around messages, beyond the presets.
#include "engine/message/framing.hpp"

#include <doctest/doctest.h>

#include "tests/message/frames.hpp"

using namespace tlsmux;
using namespace std::string_view_literals;
using config::FramingSettings;
using engine::message::FrameKind;
using engine::message::Framing;
using engine::message::FramingError;
using test::bytes_of;

namespace {

const FramingSettings kTpdu = {.header = {0x60, 0x00, 0x01, 0x80, 0x02}, .header_swaps_addresses = true};

FramingSettings delimited(std::vector<std::uint8_t> start, std::vector<std::uint8_t> delimiter,
                          std::vector<std::uint8_t> trailer = {}) {
  return {.kind = config::FramingKind::delimiter,
          .trailer = std::move(trailer),
          .start = std::move(start),
          .delimiter = std::move(delimiter)};
}

}  // namespace

TEST_CASE("framing.a header stands within the length, before each message") {
  CHECK(test::frame_of(Framing(kTpdu), "abc") ==
        "\x00\x08"
        "\x60\x00\x01\x80\x02"
        "abc"sv);
  auto bcd = kTpdu;
  bcd.length_encoding = config::LengthEncoding::bcd;
  CHECK(test::frame_of(Framing(bcd), "0123456789") ==
        "\x00\x15"
        "\x60\x00\x01\x80\x02"
        "0123456789"sv);
}

TEST_CASE("framing.an answer to the host's request bears its TPDU with the addresses exchanged") {
  const Framing framing(kTpdu);
  CHECK(test::frame_of(framing, "abc", "\x68\x12\x34\x56\x78"sv) ==
        "\x00\x08"
        "\x68\x56\x78\x12\x34"
        "abc"sv);
  auto as_it_is = kTpdu;
  as_it_is.header_swaps_addresses = false;
  CHECK(test::frame_of(Framing(as_it_is), "abc", "\x68\x12\x34\x56\x78"sv) ==
        "\x00\x08"
        "\x60\x00\x01\x80\x02"
        "abc"sv);
}

TEST_CASE("framing.what a header has behind its TPDU comes back unchanged") {
  auto longer = kTpdu;
  longer.header = {0x60, 0, 1, 0, 2, 'x', 'y'};
  CHECK(test::frame_of(Framing(longer), "abc", "\x68\x12\x34\x56\x78pq"sv) ==
        "\x00\x0a"
        "\x68\x56\x78\x12\x34pq"
        "abc"sv);
}

TEST_CASE("framing.all parts together stand in their order") {
  const Framing framing({.length_encoding = config::LengthEncoding::ascii,
                         .length_bytes = 3,
                         .length_includes_itself = true,
                         .length_adjust = -2,
                         .before_length = {'B'},
                         .after_length = {'A', 'F'},
                         .header = {'H', 'D'},
                         .trailer = {'T'},
                         .message_bytes_max = 900});
  CHECK(test::frame_of(framing, "abcd") == "B008AFHDabcdT"sv);  // 3 + 2 + 4 + 1 - 2
  CHECK(framing.overhead_bytes() == 9);
  CHECK(test::text_of(framing.keep_alive()) == "B000AF"sv);
  const auto head = framing.read_head(bytes_of("B008AF"));
  REQUIRE(head.has_value());
  CHECK(head->body_bytes == 7);
  CHECK(framing.message_bytes(head->body_bytes) == 4);
}

TEST_CASE("framing.a length that leaves the header out counts a header even where it is zero") {
  auto settings = kTpdu;
  settings.length_adjust = -5;
  const Framing framing(settings);
  CHECK(test::frame_of(framing, "abc") ==
        "\x00\x03"
        "\x60\x00\x01\x80\x02"
        "abc"sv);
  CHECK(test::text_of(framing.keep_alive()) ==
        "\x00\x00"
        "\x60\x00\x01\x80\x02"sv);
  const auto head = framing.read_head(bytes_of("\x00\x00"sv));
  REQUIRE(head.has_value());
  CHECK(head->body_bytes == 5);
}

TEST_CASE("framing.a length that includes itself is a keep-alive when zero and when it counts itself only") {
  const Framing framing({.length_includes_itself = true});
  CHECK(framing.read_head(bytes_of("\x00\x00"sv))->body_bytes == 0);
  CHECK(framing.read_head(bytes_of("\x00\x02"sv))->body_bytes == 0);
  CHECK(framing.read_head(bytes_of("\x00\x01"sv)).error() == FramingError::too_short);
}

TEST_CASE("framing.a frame that cannot hold header and trailer is too short") {
  const Framing framing(kTpdu);
  for (char length = 1; length < 5; ++length) {
    const char head[] = {0, length};
    CHECK(framing.read_head(bytes_of({head, 2})).error() == FramingError::too_short);
  }
  CHECK(framing.read_head(bytes_of("\x00\x05"sv))->body_bytes == 5);
}

TEST_CASE("framing.hostile lengths of eight bytes do not wrap round") {
  for (const bool inclusive : {false, true}) {
    for (const std::int32_t adjust : {-8, 0, 1, 1024}) {
      CAPTURE(inclusive);
      CAPTURE(adjust);
      const Framing framing({.length_bytes = 8,
                             .length_includes_itself = inclusive,
                             .length_adjust = adjust,
                             .header = std::vector<std::uint8_t>(8, 'h')});
      for (const auto length : {"\xff\xff\xff\xff\xff\xff\xff\xff"sv, "\x80\x00\x00\x00\x00\x00\x00\x00"sv,
                                "\x7f\xff\xff\xff\xff\xff\xff\xff"sv, "\x00\x00\x00\x01\x00\x00\x00\x08"sv}) {
        CHECK(framing.read_head(bytes_of(length)).error() == FramingError::too_long);
      }
    }
  }
}

TEST_CASE("framing.session control is told by the masked bits alone") {
  const Framing framing({.after_length = {0x00, 0x00}, .control_mask = {0x00, 0xf0}, .control_value = {0x00, 0x20}});
  const auto kind = [&](std::string_view head) { return framing.read_head(bytes_of(head))->kind; };
  CHECK(kind("\x00\x03\x00\x20"sv) == FrameKind::control);
  CHECK(kind("\x00\x03\x00\x2f"sv) == FrameKind::control);
  CHECK(kind("\x00\x03\x00\x00"sv) == FrameKind::message);
  CHECK(kind("\x00\x03\x00\x17"sv) == FrameKind::message);  // nothing else is asked of a masked byte
  CHECK(kind("\x00\x03\x00\x30"sv) == FrameKind::message);
  CHECK(framing.read_head(bytes_of("\x00\x03\x20\x00"sv)).error() == FramingError::unexpected_bytes);
  CHECK(framing.read_head(bytes_of("\x00\x03\x01\x20"sv)).error() == FramingError::unexpected_bytes);
}

TEST_CASE("framing.only framings with a delimiter search messages") {
  CHECK_FALSE(Framing(kTpdu).must_search_messages());
  CHECK(Framing(kTpdu).may_be_sent(bytes_of("\x02\x03\r\n"sv)));
  CHECK(Framing(delimited({}, {'\r'})).must_search_messages());
}

TEST_CASE("framing.a message that holds the delimiter or the start may not be sent") {
  const Framing etx(delimited({0x02}, {0x03}));
  CHECK(etx.may_be_sent(bytes_of("abc")));
  for (const auto bad : {"\x03"sv,
                         "\x03"
                         "abc"sv,
                         "ab\x03"
                         "c"sv,
                         "abc\x03"sv, "\x02"sv, "abc\x02"sv}) {
    CAPTURE(bad);
    CHECK_FALSE(etx.may_be_sent(bytes_of(bad)));
  }
  const Framing crlf(delimited({}, {'\r', '\n'}));
  for (const auto good : {"\r"sv, "\n"sv, "\n\r"sv, "abc\r"sv, "\nabc"sv}) {
    CAPTURE(good);
    CHECK(crlf.may_be_sent(bytes_of(good)));
  }
  CHECK_FALSE(crlf.may_be_sent(bytes_of("a\r\nb"sv)));
}

TEST_CASE("framing.a message whose end makes a delimiter with what follows may not be sent") {
  const Framing twice(delimited({}, {'|', '|'}));
  CHECK(twice.may_be_sent(bytes_of("a|b")));
  CHECK_FALSE(twice.may_be_sent(bytes_of("ab|")));
  CHECK_FALSE(twice.may_be_sent(bytes_of("|")));
  const Framing with_trailer(delimited({}, {'|', '/'}, {'/'}));
  CHECK_FALSE(with_trailer.may_be_sent(bytes_of("ab|")));
  CHECK(with_trailer.may_be_sent(bytes_of("ab/")));
}

TEST_CASE("framing.each error has words of its own") {
  std::vector<std::string_view> texts;
  for (const auto error :
       {FramingError::too_long, FramingError::too_short, FramingError::not_a_number, FramingError::unexpected_bytes}) {
    const std::string_view text = engine::message::framing_error_text(error);
    CHECK(!text.empty());
    for (const auto other : texts) CHECK(text != other);
    texts.push_back(text);
  }
}
