// Every preset, with bytes written by hand from the layout's definition.
#include "config/framing_presets.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "config/check/check_framing.hpp"
#include "tests/message/frames.hpp"

using namespace tlsmux;
using namespace std::string_view_literals;
using engine::message::FrameCutter;
using engine::message::Framing;
using engine::message::FramingError;
using test::Messages;

namespace {

constexpr std::uint32_t kMessageBytesMax = 20;

// The frames of "abc", of "d" and of "0123456789AB", and the keep-alive.
struct Layout {
  std::string_view preset;
  std::string_view abc;
  std::string_view d;
  std::string_view twelve;
  std::string_view keep_alive;
};

// clang-format off: one row for each, as in FRAMING.md
const Layout kLayouts[] = {
    {"length16", "\x00\x03" "abc"sv, "\x00\x01" "d"sv, "\x00\x0c" "0123456789AB"sv, "\x00\x00"sv},
    {"post", "\x00\x03" "abc"sv, "\x00\x01" "d"sv, "\x00\x0c" "0123456789AB"sv, "\x00\x00"sv},
    {"nac", "\x00\x03" "abc"sv, "\x00\x01" "d"sv, "\x00\x0c" "0123456789AB"sv, "\x00\x00"sv},
    {"length16_inclusive", "\x00\x05" "abc"sv, "\x00\x03" "d"sv, "\x00\x0e" "0123456789AB"sv, "\x00\x00"sv},
    {"nac_inclusive", "\x00\x05" "abc"sv, "\x00\x03" "d"sv, "\x00\x0e" "0123456789AB"sv, "\x00\x00"sv},
    {"amex", "\x00\x05" "abc"sv, "\x00\x03" "d"sv, "\x00\x0e" "0123456789AB"sv, "\x00\x00"sv},
    {"length16_le", "\x03\x00" "abc"sv, "\x01\x00" "d"sv, "\x0c\x00" "0123456789AB"sv, "\x00\x00"sv},
    {"length24", "\x00\x00\x03" "abc"sv, "\x00\x00\x01" "d"sv, "\x00\x00\x0c" "0123456789AB"sv, "\x00\x00\x00"sv},
    {"cmf", "\x00\x00\x03" "abc"sv, "\x00\x00\x01" "d"sv, "\x00\x00\x0c" "0123456789AB"sv, "\x00\x00\x00"sv},
    {"length32", "\x00\x00\x00\x03" "abc"sv, "\x00\x00\x00\x01" "d"sv, "\x00\x00\x00\x0c" "0123456789AB"sv,
     "\x00\x00\x00\x00"sv},
    {"raw", "\x00\x00\x00\x03" "abc"sv, "\x00\x00\x00\x01" "d"sv, "\x00\x00\x00\x0c" "0123456789AB"sv,
     "\x00\x00\x00\x00"sv},
    {"length32_inclusive", "\x00\x00\x00\x07" "abc"sv, "\x00\x00\x00\x05" "d"sv, "\x00\x00\x00\x10" "0123456789AB"sv,
     "\x00\x00\x00\x00"sv},
    {"ascii4", "0003abc"sv, "0001d"sv, "00120123456789AB"sv, "0000"sv},
    {"ascii4_inclusive", "0007abc"sv, "0005d"sv, "00160123456789AB"sv, "0000"sv},
    {"hex4", "0003abc"sv, "0001d"sv, "000C0123456789AB"sv, "0000"sv},
    {"bcd4", "\x00\x03" "abc"sv, "\x00\x01" "d"sv, "\x00\x12" "0123456789AB"sv, "\x00\x00"sv},
    {"bcd", "\x00\x03" "abc"sv, "\x00\x01" "d"sv, "\x00\x12" "0123456789AB"sv, "\x00\x00"sv},
    {"ncc", "\x00\x03" "abc"sv, "\x00\x01" "d"sv, "\x00\x12" "0123456789AB"sv, "\x00\x00"sv},
    {"cs", "\x00\x03\x00\x00" "abc"sv, "\x00\x01\x00\x00" "d"sv, "\x00\x0c\x00\x00" "0123456789AB"sv,
     "\x00\x00\x00\x00"sv},
    {"vap", "\x00\x03\x00\x00" "abc"sv, "\x00\x01\x00\x00" "d"sv, "\x00\x0c\x00\x00" "0123456789AB"sv,
     "\x00\x00\x00\x00"sv},
    {"vml", "\x00\x03\x00\x00" "abc"sv, "\x00\x01\x00\x00" "d"sv, "\x00\x0c\x00\x00" "0123456789AB"sv,
     "\x00\x00\x00\x00"sv},
    {"gicc", "\x00\x00\x00\x03" "abc"sv, "\x00\x00\x00\x01" "d"sv, "\x00\x00\x00\x0c" "0123456789AB"sv,
     "\x00\x00\x00\x00"sv},
    {"rbp", "\xd0\x4a\x00\x03\x00\x00" "abc"sv, "\xd0\x4a\x00\x01\x00\x00" "d"sv, "\xd0\x4a\x00\x0c\x00\x00" "0123456789AB"sv,
     "\xd0\x4a\x00\x00\x00\x00"sv},
    {"base24", "abc\x03"sv, "d\x03"sv, "0123456789AB\x03"sv, "\x03"sv},
    {"etx", "abc\x03"sv, "d\x03"sv, "0123456789AB\x03"sv, "\x03"sv},
    {"base24_tcp", "\x00\x04" "abc\x03"sv, "\x00\x02" "d\x03"sv, "\x00\x0d" "0123456789AB\x03"sv, "\x00\x00"sv},
    {"stx_etx", "\x02" "abc\x03"sv, "\x02" "d\x03"sv, "\x02" "0123456789AB\x03"sv, "\x02\x03"sv},
    {"cr", "abc\r"sv, "d\r"sv, "0123456789AB\r"sv, "\r"sv},
    {"lf", "abc\n"sv, "d\n"sv, "0123456789AB\n"sv, "\n"sv},
    {"crlf", "abc\r\n"sv, "d\r\n"sv, "0123456789AB\r\n"sv, "\r\n"sv},
};
// clang-format on

struct Hostile {
  std::string_view preset;
  std::string_view bytes;
  FramingError error;
};

constexpr auto kTooLong = FramingError::too_long;
constexpr auto kTooShort = FramingError::too_short;
constexpr auto kNotANumber = FramingError::not_a_number;
constexpr auto kUnexpected = FramingError::unexpected_bytes;

const Hostile kHostile[] = {
    {"length16", "\x00\x15"sv, kTooLong},
    {"length16", "\xff\xff"sv, kTooLong},
    {"post", "\x15\x00"sv, kTooLong},
    {"nac", "\x00\x15"sv, kTooLong},
    {"length16_inclusive", "\x00\x17"sv, kTooLong},
    {"length16_inclusive", "\x00\x01"sv, kTooShort},
    {"nac_inclusive", "\x00\x01"sv, kTooShort},
    {"amex", "\x00\x01"sv, kTooShort},
    {"amex", "\xff\xff"sv, kTooLong},
    {"length16_le", "\x15\x00"sv, kTooLong},
    {"length16_le", "\x00\x01"sv, kTooLong},
    {"length24", "\x00\x00\x15"sv, kTooLong},
    {"length24", "\x01\x00\x00"sv, kTooLong},
    {"cmf", "\xff\xff\xff"sv, kTooLong},
    {"length32", "\x00\x00\x00\x15"sv, kTooLong},
    {"length32", "\xff\xff\xff\xff"sv, kTooLong},
    {"raw", "\x80\x00\x00\x00"sv, kTooLong},
    {"length32_inclusive", "\x00\x00\x00\x03"sv, kTooShort},
    {"length32_inclusive", "\x00\x00\x00\x19"sv, kTooLong},
    {"ascii4", "0021"sv, kTooLong},
    {"ascii4", "00 3"sv, kNotANumber},
    {"ascii4", "-001"sv, kNotANumber},
    {"ascii4_inclusive", "0003"sv, kTooShort},
    {"ascii4_inclusive", "0025"sv, kTooLong},
    {"ascii4_inclusive", "000A"sv, kNotANumber},
    {"hex4", "0015"sv, kTooLong},
    {"hex4", "000G"sv, kNotANumber},
    {"bcd4", "\x00\x21"sv, kTooLong},
    {"bcd4", "\x00\x0a"sv, kNotANumber},
    {"bcd", "\x00\xa0"sv, kNotANumber},
    {"ncc", "\xff\x00"sv, kNotANumber},
    {"cs", "\x00\x15\x00\x00"sv, kTooLong},
    {"cs", "\x00\x03\x00\x01"sv, kUnexpected},
    {"vap", "\x00\x03\x01\x00"sv, kUnexpected},
    {"vml", "\x00\x15\x00\x00"sv, kTooLong},
    {"vml", "\x00\x15\x00\x20"sv, kTooLong},
    {"vml", "\x00\x03\x20\x00"sv, kUnexpected},
    {"gicc", "\x00\x01\x00\x03"sv, kUnexpected},
    {"gicc", "\x00\x00\x00\x15"sv, kTooLong},
    {"rbp", "\xd0\x4b\x00\x03\x00\x00"sv, kUnexpected},
    {"rbp", "\xd0\x4a\x00\x03\x00\x01"sv, kUnexpected},
    {"rbp", "\xd0\x4a\x00\x15\x00\x00"sv, kTooLong},
    {"rbp", "\xd0\x4a\x00\x15\x01\x00"sv, kTooLong},
    {"rbp",
     "\xd0\x4a\x00\x14\x01\x00"
     "0123456789abcdefghij"
     "\xd0\x4a\x00\x01\x00\x00"sv,
     kTooLong},
    {"base24", "0123456789abcdefghijk"sv, kTooLong},
    {"etx", "0123456789abcdefghijk"sv, kTooLong},
    {"base24_tcp", "\x00\x16"sv, kTooLong},
    {"base24_tcp",
     "\x00\x04"
     "abcd"sv,
     kUnexpected},
    {"base24_tcp",
     "\x00\x01"
     "a"sv,
     kUnexpected},
    {"stx_etx", "\x03"sv, kUnexpected},
    {"stx_etx", "a"sv, kUnexpected},
    {"stx_etx",
     "\x02"
     "0123456789abcdefghijk"sv,
     kTooLong},
    {"cr", "0123456789abcdefghijk"sv, kTooLong},
    {"lf", "0123456789abcdefghij\r"sv, kTooLong},
    {"crlf", "0123456789abcdefghijk\r"sv, kTooLong},
};

Framing framing_named(std::string_view name) {
  const auto preset = std::ranges::find(config::framing_presets(), name, &config::FramingPreset::name);
  REQUIRE(preset != config::framing_presets().end());
  auto settings = preset->settings;
  settings.message_bytes_max = kMessageBytesMax;
  return Framing(settings);
}

std::string stream_of(const Layout& layout) {
  std::string stream;
  for (const auto frame : {layout.abc, layout.keep_alive, layout.d, layout.keep_alive, layout.twelve}) stream += frame;
  return stream;
}

const Messages kExpected = {"abc", "d", "0123456789AB"};

// Without those for streams only, which have no layout.
std::vector<std::string_view> framed_presets() {
  std::vector<std::string_view> names;
  for (const auto& preset : config::framing_presets()) {
    if (config::cuts_messages(preset.settings.kind)) names.push_back(preset.name);
  }
  return names;
}

bool has_preset(const auto& table, std::string_view name) {
  return std::ranges::any_of(table, [&](const auto& row) { return row.preset == name; });
}

}  // namespace

TEST_CASE("framing.the tables of layouts and of hostile bytes have every preset") {
  for (const auto name : framed_presets()) {
    CAPTURE(name);
    CHECK(has_preset(kLayouts, name));
    CHECK(has_preset(kHostile, name));
  }
  CHECK(std::size(kLayouts) == framed_presets().size());
}

TEST_CASE("framing.every preset passes the checks of the configuration as it is") {
  for (const auto& preset : config::framing_presets()) {
    CAPTURE(preset.name);
    config::Findings findings({});
    config::check_framing(preset.settings, "", findings);
    for (const auto& finding : std::move(findings).take()) FAIL(finding.message);
  }
}

TEST_CASE("framing.every preset writes the frames of its layout") {
  for (const auto& layout : kLayouts) {
    CAPTURE(layout.preset);
    const auto framing = framing_named(layout.preset);
    CHECK(test::frame_of(framing, "abc") == layout.abc);
    CHECK(test::frame_of(framing, "d") == layout.d);
    CHECK(test::frame_of(framing, "0123456789AB") == layout.twelve);
    CHECK(test::text_of(framing.keep_alive()) == layout.keep_alive);
    CHECK(framing.overhead_bytes() == layout.abc.size() - 3);
  }
}

TEST_CASE("framing.every preset reads its layout, whatever pieces the bytes come in") {
  for (const auto& layout : kLayouts) {
    CAPTURE(layout.preset);
    const auto framing = framing_named(layout.preset);
    const auto stream = stream_of(layout);
    for (std::size_t first = 0; first <= stream.size(); ++first) {
      for (std::size_t second = first; second <= stream.size(); ++second) {
        CAPTURE(first);
        CAPTURE(second);
        FrameCutter cutter(framing);
        Messages messages;
        const auto text = std::string_view(stream);
        REQUIRE(test::feed(cutter, text.substr(0, first), messages));
        REQUIRE(test::feed(cutter, text.substr(first, second - first), messages));
        REQUIRE(test::feed(cutter, text.substr(second), messages));
        REQUIRE(messages == kExpected);
        REQUIRE(cutter.keep_alives() == 2);
        REQUIRE(cutter.controls() == 0);
        REQUIRE(test::text_of(cutter.last_keep_alive()) == layout.keep_alive);
        REQUIRE(cutter.at_boundary());
      }
    }
  }
}

TEST_CASE("framing.every preset reads its layout byte by byte") {
  for (const auto& layout : kLayouts) {
    CAPTURE(layout.preset);
    const auto framing = framing_named(layout.preset);
    FrameCutter cutter(framing);
    Messages messages;
    for (const char byte : stream_of(layout)) REQUIRE(test::feed(cutter, {&byte, 1}, messages));
    CHECK(messages == kExpected);
    CHECK(cutter.keep_alives() == 2);
    CHECK(cutter.at_boundary());
  }
}

TEST_CASE("framing.a message of the greatest length passes in every preset") {
  for (const auto& layout : kLayouts) {
    CAPTURE(layout.preset);
    const auto framing = framing_named(layout.preset);
    const std::string body(kMessageBytesMax, 'x');
    const auto frame = test::frame_of(framing, body);
    for (std::size_t split = 0; split <= frame.size(); ++split) {
      FrameCutter cutter(framing);
      Messages messages;
      REQUIRE(test::feed(cutter, std::string_view(frame).substr(0, split), messages));
      REQUIRE(test::feed(cutter, std::string_view(frame).substr(split), messages));
      REQUIRE(messages == Messages{body});
    }
  }
}

TEST_CASE("framing.hostile bytes are errors in every preset, behind a message and in any two pieces") {
  for (const auto& hostile : kHostile) {
    CAPTURE(hostile.preset);
    CAPTURE(hostile.bytes);
    const auto framing = framing_named(hostile.preset);
    const auto layout = std::ranges::find(kLayouts, hostile.preset, &Layout::preset);
    const auto stream = std::string(layout->abc) + std::string(hostile.bytes);
    for (std::size_t split = 0; split <= stream.size(); ++split) {
      CAPTURE(split);
      FrameCutter cutter(framing);
      Messages messages;
      auto fed = test::feed(cutter, std::string_view(stream).substr(0, split), messages);
      if (fed) fed = test::feed(cutter, std::string_view(stream).substr(split), messages);
      REQUIRE(!fed.has_value());
      REQUIRE(fed.error() == hostile.error);
      REQUIRE(messages == Messages{"abc"});
      const auto again = test::feed(cutter, layout->abc, messages);
      REQUIRE(!again.has_value());
      REQUIRE(again.error() == hostile.error);
      REQUIRE(messages == Messages{"abc"});
    }
  }
}

TEST_CASE("framing.the presets whose hosts expect it echo keep-alives, and no others") {
  const std::vector<std::string_view> echoing = {"cmf", "cs", "vap", "gicc", "base24_tcp"};
  for (const auto name : framed_presets()) {
    CAPTURE(name);
    CHECK(framing_named(name).echoes_keep_alives() == (std::ranges::count(echoing, name) > 0));
  }
}
