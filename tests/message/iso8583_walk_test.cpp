#include "engine/message/iso8583/walk.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "engine/message/iso8583/value.hpp"
#include "tests/message/iso8583_support.hpp"

using namespace tlsmux;
using namespace tlsmux::engine::message::iso8583;
using config::BitmapEncoding;
using config::FieldEncoding;
using config::LengthPrefix;
using config::PaddingSide;
using test::as_text;
using test::from_hex;
using test::from_text;

namespace {

constexpr config::Iso8583Field fixed(FieldEncoding encoding, std::uint32_t length) {
  return {.encoding = encoding, .length = length};
}

constexpr config::Iso8583Field variable(FieldEncoding encoding, LengthPrefix prefix, std::uint8_t digits,
                                        std::uint32_t length) {
  return {.encoding = encoding, .prefix = prefix, .prefix_digits = digits, .length = length};
}

constexpr config::Iso8583Field padded(config::Iso8583Field field, PaddingSide side, char pad) {
  field.padding = side;
  field.pad = static_cast<std::uint8_t>(pad);
  return field;
}

config::Iso8583Spec binary_spec() {
  config::Iso8583Spec spec;
  spec.mti = fixed(FieldEncoding::ascii, 4);
  spec.bitmap = BitmapEncoding::binary;
  return spec;
}

// Walks all of the message: "" or the error.
std::string walk_error(const config::Iso8583Spec& spec, const test::Bytes& message) {
  Walk walk(spec, MessageBytes(message));
  if (const auto started = walk.start(0); !started) return as_text(started.error());
  if (const auto walked = walk.walk_all(); !walked) return as_text(walked.error());
  return "";
}

struct EncodingCase {
  std::string_view name;
  config::Iso8583Field field;
  std::string_view wire;   // hexadecimal: length prefix and content
  std::uint32_t length;    // of the content, in units
  std::string_view value;  // hexadecimal: in the form of keys
};

using FE = FieldEncoding;
using LP = LengthPrefix;

const std::vector<EncodingCase> kEncodingCases = {
    {"ascii fixed", fixed(FE::ascii, 4), "41424344", 4, "41424344"},
    {"ascii L", variable(FE::ascii, LP::ascii, 1, 9), "33 616263", 3, "616263"},
    {"ascii LL", variable(FE::ascii, LP::ascii, 2, 19), "3033 616263", 3, "616263"},
    {"ascii LLL", variable(FE::ascii, LP::ascii, 3, 999), "303033 616263", 3, "616263"},
    {"ascii LLLL", variable(FE::ascii, LP::ascii, 4, 9999), "30303033 616263", 3, "616263"},
    {"ascii LL, empty", variable(FE::ascii, LP::ascii, 2, 19), "3030", 0, ""},
    {"ascii, BCD L", variable(FE::ascii, LP::bcd, 1, 9), "03 616263", 3, "616263"},
    {"ascii, BCD LL", variable(FE::ascii, LP::bcd, 2, 99), "12 616263646566676869616263", 12,
     "616263646566676869616263"},
    {"ascii, BCD LLL", variable(FE::ascii, LP::bcd, 3, 999), "0003 616263", 3, "616263"},
    {"ascii, BCD LLLL", variable(FE::ascii, LP::bcd, 4, 9999), "0003 616263", 3, "616263"},
    {"ascii, EBCDIC LL", variable(FE::ascii, LP::ebcdic, 2, 99), "f0f3 616263", 3, "616263"},
    {"ascii, binary L", variable(FE::ascii, LP::binary, 1, 255), "03 616263", 3, "616263"},
    {"ascii, binary LL", variable(FE::ascii, LP::binary, 2, 999), "0003 616263", 3, "616263"},
    {"ascii, binary LLLL", variable(FE::ascii, LP::binary, 4, 999), "00000003 616263", 3, "616263"},
    {"ascii, hex L", variable(FE::ascii, LP::hex, 1, 255), "3061 61626364656667686970", 10, "61626364656667686970"},
    {"ascii, hex LL in small letters", variable(FE::ascii, LP::hex, 2, 999), "30303061 61626364656667686970", 10,
     "61626364656667686970"},
    {"ebcdic fixed", fixed(FE::ebcdic, 6), "c1d1e2 f0f9 40", 6, "414a53 3039 20"},
    {"ebcdic LL", variable(FE::ebcdic, LP::ebcdic, 2, 99), "f0f2 8199", 2, "6172"},
    {"bcd fixed, even", fixed(FE::bcd, 6), "123456", 6, "313233343536"},
    {"bcd fixed, odd", fixed(FE::bcd, 3), "0840", 3, "383430"},
    {"bcd_left fixed, odd", fixed(FE::bcd_left, 3), "840f", 3, "383430"},
    {"bcd LL, odd, track data", variable(FE::bcd, LP::bcd, 2, 37), "05 04 2d 99", 5, "3432443939"},
    {"bcd_left LL, odd", variable(FE::bcd_left, LP::bcd, 2, 19), "05 12345f", 5, "3132333435"},
    {"bcd, ascii LL", variable(FE::bcd, LP::ascii, 2, 19), "3034 1234", 4, "31323334"},
    {"binary fixed", fixed(FE::binary, 8), "00ff80017f00fffe", 8, "00ff80017f00fffe"},
    {"binary LLL", variable(FE::binary, LP::ascii, 3, 255), "303033 000102", 3, "000102"},
    {"hex fixed", fixed(FE::hex, 3), "30304666 6146", 3, "00ffaf"},
    {"hex LL counts bytes", variable(FE::hex, LP::ascii, 2, 8), "3032 39663031", 2, "9f01"},
    {"left padding", padded(fixed(FE::ascii, 6), PaddingSide::left, '0'), "303030313230", 6, "313230"},
    {"right padding", padded(fixed(FE::ascii, 6), PaddingSide::right, ' '), "2041 42202020", 6, "204142"},
    {"nothing but padding", padded(fixed(FE::ascii, 4), PaddingSide::left, '0'), "30303030", 4, ""},
    {"ebcdic padding", padded(fixed(FE::ebcdic, 4), PaddingSide::right, ' '), "c1404040", 4, "41"},
    {"bcd padding", padded(fixed(FE::bcd, 5), PaddingSide::left, '0'), "000120", 5, "313230"},
};

}  // namespace

TEST_CASE("iso8583.every encoding, length prefix and padding, by bytes written by hand") {
  for (const auto& one : kEncodingCases) {
    CAPTURE(one.name);
    auto spec = binary_spec();
    spec.fields[2] = one.field;
    spec.fields[3] = fixed(FieldEncoding::ascii, 2);
    const auto head = test::joined(from_text("0200"), from_hex("6000000000000000"));
    const auto message = test::joined(head, from_hex(one.wire), from_text("ZZ"));
    Walk walk(spec, MessageBytes(message));
    REQUIRE(walk.start(0).has_value());
    CHECK(text_of(walk.mti()) == "0200");
    REQUIRE(walk.walk_all().has_value());
    CHECK(walk.place(2).start == head.size());
    CHECK(walk.place(2).offset == head.size() + config::prefix_bytes(one.field));
    CHECK(walk.place(2).length == one.length);
    CHECK(test::to_text(walk.content(3)) == "ZZ");

    std::array<std::byte, 64> out{};
    const auto trim = padding_of(one.field);
    const auto value = read_value(one.field, trim, walk.content(2), walk.place(2).length, out);
    REQUIRE(value.fault == ValueFault::none);
    const auto written = std::span<const std::byte>(out).first(value.length);
    CHECK(test::to_hex(written) == test::to_hex(from_hex(one.value)));
    CHECK(value_equals(one.field, trim, walk.content(2), walk.place(2).length, written));
    CHECK_FALSE(value_equals(one.field, trim, walk.content(2), walk.place(2).length, from_text("another value!")));
    if (value.length > 0) {
      const auto too_small = std::span(out).first(value.length - 1);
      CHECK(read_value(one.field, trim, walk.content(2), walk.place(2).length, too_small).fault == ValueFault::no_room);
    }

    // Each byte less is missing in field 2 or 3, and is said to be.
    for (std::size_t length = head.size(); length < message.size(); ++length) {
      CAPTURE(length);
      const auto cut = std::span<const std::byte>(message).first(length);
      const auto error = walk_error(spec, test::Bytes(cut.begin(), cut.end()));
      const bool in_two = length < head.size() + from_hex(one.wire).size();
      CHECK(error.starts_with(in_two ? "truncated field 2" : "truncated field 3"));
      // The same prefix of a message that is longer.
      Walk partial(spec, MessageBytes(cut, message.size()));
      REQUIRE(partial.start(0).has_value());
      const auto walked = partial.walk_all();
      REQUIRE_FALSE(walked.has_value());
      CHECK(walked.error().kind == Iso8583ErrorKind::beyond_prefix);
    }
  }
}

TEST_CASE("iso8583.lengths that are none, or too long, are refused before the content is looked at") {
  struct Case {
    config::Iso8583Field field;
    std::string_view wire;
    std::string_view error;
  };
  const std::vector<Case> cases = {
      {variable(FE::ascii, LP::ascii, 2, 19), "3230 61", "too_long field 2 offset 12"},
      {variable(FE::ascii, LP::ascii, 2, 19), "3941 61", "bad_length field 2 offset 12"},
      {variable(FE::ascii, LP::ascii, 2, 19), "2d31 61", "bad_length field 2 offset 12"},
      {variable(FE::ascii, LP::ascii, 2, 19), "33", "truncated field 2 offset 12"},
      {variable(FE::ascii, LP::ascii, 2, 19), "3034 616263", "truncated field 2 offset 14"},
      {variable(FE::ascii, LP::ebcdic, 2, 99), "f0fa 61", "bad_length field 2 offset 12"},
      {variable(FE::ascii, LP::bcd, 2, 99), "0a 61", "bad_length field 2 offset 12"},
      {variable(FE::ascii, LP::bcd, 3, 999), "f001 61", "bad_length field 2 offset 12"},
      {variable(FE::ascii, LP::bcd, 3, 99), "1001 61", "too_long field 2 offset 12"},
      {variable(FE::ascii, LP::hex, 1, 99), "3067 61", "bad_length field 2 offset 12"},
      {variable(FE::ascii, LP::hex, 4, 99), "6666666666666666 61", "too_long field 2 offset 12"},
      {variable(FE::ascii, LP::binary, 1, 99), "64", "too_long field 2 offset 12"},
      {variable(FE::ascii, LP::binary, 4, 99), "ffffffff 61", "too_long field 2 offset 12"},
      {variable(FE::hex, LP::ascii, 1, 9), "32 313233", "truncated field 2 offset 13"},
      {variable(FE::bcd, LP::ascii, 1, 9), "33 12", "truncated field 2 offset 13"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.wire);
    auto spec = binary_spec();
    spec.fields[2] = one.field;
    const auto message = test::joined(from_text("0200"), from_hex("4000000000000000"), from_hex(one.wire));
    CHECK(walk_error(spec, message) == one.error);
  }
}

TEST_CASE("iso8583.message types are four digits in the specification's encoding") {
  struct Case {
    FieldEncoding encoding;
    std::string_view wire;
    std::string_view mti;  // empty: refused
  };
  const std::vector<Case> cases = {
      {FE::ascii, "30323130", "0210"},  {FE::ascii, "3032 31 3a", ""}, {FE::ascii, "30322d31", ""},
      {FE::bcd, "0210", "0210"},        {FE::bcd, "02a0", ""},         {FE::bcd_left, "1804", "1804"},
      {FE::ebcdic, "f0f2f1f0", "0210"}, {FE::ebcdic, "f0f2f1c1", ""},  {FE::ebcdic, "30323130", ""},
  };
  for (const auto& one : cases) {
    CAPTURE(one.wire);
    auto spec = binary_spec();
    spec.mti = fixed(one.encoding, 4);
    const auto message = test::joined(from_hex(one.wire), from_hex("0000000000000000"));
    Walk walk(spec, MessageBytes(message));
    const auto started = walk.start(0);
    CHECK(started.has_value() == !one.mti.empty());
    if (started) CHECK(text_of(walk.mti()) == one.mti);
    if (!started) CHECK(as_text(started.error()) == "bad_mti field 0 offset 0");
  }
}

TEST_CASE("iso8583.one, two and three bitmaps in each encoding") {
  auto spec = binary_spec();
  for (const std::uint32_t field : {2U, 64U, 66U, 128U, 130U, 192U}) spec.fields[field] = fixed(FE::ascii, 1);
  struct Case {
    BitmapEncoding encoding;
    std::string_view wire;
  };
  // Bits 1, 2, 64; 65, 66, 128; 130, 192.
  const std::vector<Case> cases = {
      {BitmapEncoding::binary, "c000000000000001 c000000000000001 4000000000000001"},
      {BitmapEncoding::hex,
       "43303030303030303030303030303031 63303030303030303030303030303031 34303030303030303030303030303031"},
      {BitmapEncoding::ebcdic_hex,
       "c3f0f0f0f0f0f0f0f0f0f0f0f0f0f0f1 83f0f0f0f0f0f0f0f0f0f0f0f0f0f0f1 f4f0f0f0f0f0f0f0f0f0f0f0f0f0f0f1"},
  };
  for (const auto& one : cases) {
    spec.bitmap = one.encoding;
    const auto bitmaps = from_hex(one.wire);
    const auto message = test::joined(from_text("0800"), bitmaps, from_text("abcdef"));
    Walk walk(spec, MessageBytes(message));
    REQUIRE(walk.start(0).has_value());
    for (std::uint32_t field = 2; field <= config::kIso8583FieldsMax; ++field) {
      if (field == 65 || field == 129) continue;
      CHECK(walk.has(field) == (spec.fields[field].encoding != FE::none));
    }
    REQUIRE(walk.walk_all().has_value());
    std::string contents;
    for (const std::uint32_t field : {2U, 64U, 66U, 128U, 130U, 192U}) contents += test::to_text(walk.content(field));
    CHECK(contents == "abcdef");

    const std::size_t bitmap_bytes = bitmaps.size() / 3;
    for (std::size_t length = 4; length < 4 + bitmaps.size(); ++length) {
      const auto begin_of_cut = 4 + (length - 4) / bitmap_bytes * bitmap_bytes;
      CHECK(walk_error(spec, test::Bytes(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(length))) ==
            "truncated field 1 offset " + std::to_string(begin_of_cut));
    }
  }

  spec.bitmap = BitmapEncoding::binary;
  const auto four = test::joined(from_text("0800"), from_hex("8000000000000000 8000000000000000 8000000000000000"));
  CHECK(walk_error(spec, four) == "too_many_bitmaps field 1 offset 20");
  spec.bitmap = BitmapEncoding::hex;
  CHECK(walk_error(spec, from_text("08000000000G00000000")) == "bad_bitmap field 1 offset 4");
}

TEST_CASE("iso8583.fields beyond those wanted are neither read nor judged") {
  auto spec = binary_spec();
  spec.fields[2] = fixed(FE::ascii, 1);
  spec.fields[4] = fixed(FE::ascii, 1);
  // Bits 2, 4 and 5, of which the specification has no 5.
  const auto message = test::joined(from_text("0800"), from_hex("5800000000000000"), from_text("xy"));
  Walk walk(spec, MessageBytes(message));
  REQUIRE(walk.start(0).has_value());
  CHECK(walk.walk_to(3).has_value());
  CHECK(walk.offset() == 13);
  CHECK(walk.walk_to(4).has_value());
  CHECK(test::to_text(walk.content(4)) == "y");
  const auto further = walk.walk_to(5);
  REQUIRE_FALSE(further.has_value());
  CHECK(as_text(further.error()) == "unknown_field field 5 offset 14");
}

TEST_CASE("iso8583.bytes behind the last field are refused where all is read") {
  const auto spec = test::built_in("1987_ascii");
  CHECK(walk_error(spec, from_text("080000200000000000000000 01")) == "trailing_bytes field 11 offset 26");
  CHECK(walk_error(spec, from_text("08000020000000000000000001")) == "");
}

TEST_CASE("iso8583.a typical message cut at every byte names the field that is missing") {
  struct Part {
    std::string_view bytes;
    unsigned field;
    std::size_t prefix = 0;
  };
  // Bits 2, 3, 4, 7, 11, 32, 37, 41, 49 and 128; 1.
  const std::vector<Part> parts = {{"0100", 0},
                                   {"F220000108808000", 1},
                                   {"0000000000000001", 1},
                                   {"165413330089010000", 2, 2},
                                   {"000000", 3},
                                   {"000000010000", 4},
                                   {"1121220349", 7},
                                   {"000042", 11},
                                   {"06123456", 32, 2},
                                   {"RRN000000042", 37},
                                   {"TERM0001", 41},
                                   {"978", 49},
                                   {"A1B2C3D4E5F60718", 128}};
  std::string text;
  for (const auto& part : parts) text += part.bytes;
  const auto spec = test::built_in("1987_ascii");
  REQUIRE(walk_error(spec, from_text(text)) == "");
  std::size_t start = 0;
  for (const auto& part : parts) {
    for (std::size_t i = 0; i < part.bytes.size(); ++i) {
      const std::size_t at = start + (i >= part.prefix ? part.prefix : 0);
      CHECK(walk_error(spec, from_text(text.substr(0, start + i))) ==
            "truncated field " + std::to_string(part.field) + " offset " + std::to_string(at));
    }
    start += part.bytes.size();
  }
}

TEST_CASE("iso8583.BASE I headers tell their length themselves") {
  config::Iso8583Settings settings;
  settings.header_format = config::HeaderFormat::base1;
  struct Case {
    std::string_view bytes;
    std::string_view result;
  };
  const std::vector<Case> cases = {
      {"", "truncated field 0 offset 0"},
      {"04", "truncated field 0 offset 0"},
      {"0401", "truncated field 0 offset 0"},
      {"04010203", "4"},
      {"04010203 3031", "4"},
      {"0101", "bad_header field 0 offset 0"},
      {"0001", "bad_header field 0 offset 0"},
      {"04810203", "truncated field 0 offset 4"},
      {"04810203 03", "truncated field 0 offset 4"},
      {"04810203 030102", "7"},
      {"04810203 01", "bad_header field 0 offset 4"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.bytes);
    const auto message = from_hex(one.bytes);
    const auto bytes = header_bytes_of(settings, MessageBytes(message));
    CHECK((bytes ? std::to_string(*bytes) : as_text(bytes.error())) == one.result);
  }
}

TEST_CASE("iso8583.error texts name field and offset and no byte of the message") {
  CHECK(text({.kind = Iso8583ErrorKind::truncated, .field = 41, .offset = 57}) ==
        "field 41 at offset 57: the message ends within it");
  CHECK(text({.kind = Iso8583ErrorKind::bad_mti, .field = 0, .offset = 5}) ==
        "MTI at offset 5: the message type is not four digits");
  CHECK(text({.kind = Iso8583ErrorKind::bad_bitmap, .field = 1, .offset = 4}).starts_with("bitmap at offset 4: "));
  CHECK(text({.kind = Iso8583ErrorKind::bad_header}).starts_with("header at offset 0: "));
}
