#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/iso8583/iso8583_spec_json.hpp"
#include "tests/message/iso8583_support.hpp"

using namespace tlsmux;
using config::FieldEncoding;
using config::LengthPrefix;
using config::PaddingSide;

namespace {

constexpr std::string_view kMti = R"("0": {"type": "String", "length": 4, "enc": "ASCII", "prefix": "ASCII.Fixed"})";
constexpr std::string_view kBitmap = R"("1": {"type": "Bitmap", "length": 8, "enc": "Binary", "prefix": "Hex.Fixed"})";

std::string spec_with(std::string_view fields) {
  return "{\"name\": \"test\", \"fields\": {" + std::string(kMti) + ", " + std::string(kBitmap) +
         (fields.empty() ? "" : ", ") + std::string(fields) + "}}";
}

config::Iso8583Field field_of(std::string_view json) {
  const auto spec = config::parse_iso8583_spec(spec_with("\"2\": " + std::string(json)));
  REQUIRE_MESSAGE(spec.has_value(), (spec ? "" : spec.error()));
  return spec->fields[2];
}

std::string error_of(std::string_view text) {
  const auto spec = config::parse_iso8583_spec(text);
  return spec ? "" : spec.error();
}

}  // namespace

TEST_CASE("iso8583.the built-in specifications have all 128 fields") {
  for (const std::string_view name : {"1987_ascii", "1987_binary", "1993_ascii"}) {
    CAPTURE(name);
    const auto spec = test::built_in(name);
    CHECK(spec.name.starts_with("ISO 8583:" + std::string(name.substr(0, 4))));
    for (std::uint32_t field = 2; field <= 128; ++field) {
      CAPTURE(field);
      CHECK((spec.fields[field].encoding != FieldEncoding::none) == config::is_data_field(field));
    }
    for (std::uint32_t field = 129; field <= config::kIso8583FieldsMax; ++field) {
      CHECK(spec.fields[field].encoding == FieldEncoding::none);
    }
    CHECK(spec.fields[11].length == 6);
    CHECK(spec.fields[41].length == 8);
    CHECK(spec.fields[41].padding == PaddingSide::right);
  }
  CHECK_FALSE(config::built_in_iso8583_spec("1987").has_value());
  const auto binary = test::built_in("1987_binary");
  CHECK(binary.mti.encoding == FieldEncoding::bcd);
  CHECK(binary.bitmap == config::BitmapEncoding::binary);
  CHECK(binary.fields[2].encoding == FieldEncoding::bcd);
  CHECK(binary.fields[2].prefix == LengthPrefix::bcd);
  CHECK(test::built_in("1993_ascii").fields[12].length == 12);
  CHECK(test::built_in("1993_ascii").fields[39].length == 3);
}

TEST_CASE("iso8583.names of encodings, prefixes and paddings, old and new") {
  const auto encoding_of = [](std::string_view name) {
    return field_of(R"({"type": "String", "length": 8, "enc": ")" + std::string(name) +
                    R"(", "prefix": "ASCII.Fixed"})")
        .encoding;
  };
  for (const auto* name : {"ASCII", "asciiEncoder"}) CHECK(encoding_of(name) == FieldEncoding::ascii);
  for (const auto* name : {"BCD", "bcdEncoder", "rBCDEncoder"}) CHECK(encoding_of(name) == FieldEncoding::bcd);
  for (const auto* name : {"LBCD", "lBCDEncoder"}) CHECK(encoding_of(name) == FieldEncoding::bcd_left);
  for (const auto* name : {"EBCDIC", "ebcdicEncoder", "EBCDIC1047"}) CHECK(encoding_of(name) == FieldEncoding::ebcdic);
  for (const auto* name : {"Binary", "binaryEncoder", "ASCIIToHex"}) CHECK(encoding_of(name) == FieldEncoding::binary);
  for (const auto* name : {"HexToASCII", "hexToASCIIEncoder", "hexEncoder"})
    CHECK(encoding_of(name) == FieldEncoding::hex);

  const auto prefix_of = [](std::string_view name) {
    return field_of(R"({"type": "String", "length": 8, "enc": "ASCII", "prefix": ")" + std::string(name) + "\"}");
  };
  CHECK(prefix_of("ASCII.fixed").prefix == LengthPrefix::fixed);
  CHECK(prefix_of("Binary.Fixed").prefix == LengthPrefix::fixed);
  CHECK(prefix_of("ASCII.LLLL").prefix == LengthPrefix::ascii);
  CHECK(prefix_of("ASCII.LLLL").prefix_digits == 4);
  CHECK(prefix_of("BCD.LLL").prefix == LengthPrefix::bcd);
  CHECK(config::prefix_bytes(prefix_of("BCD.LLL")) == 2);
  CHECK(prefix_of("EBCDIC.LL").prefix == LengthPrefix::ebcdic);
  CHECK(prefix_of("Binary.LL").prefix == LengthPrefix::binary);
  CHECK(config::prefix_bytes(prefix_of("Hex.LL")) == 4);

  const auto padded = [](std::string_view padding) {
    return field_of(R"({"type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed", "padding": )" +
                    std::string(padding) + "}");
  };
  CHECK(padded(R"({"type": "Left", "pad": "0"})").padding == PaddingSide::left);
  CHECK(padded(R"({"type": "Left", "pad": "0"})").pad == '0');
  CHECK(padded(R"({"type": "rightPadder", "pad": 32})").padding == PaddingSide::right);
  CHECK(padded(R"({"type": "rightPadder", "pad": 32})").pad == ' ');
  CHECK(padded(R"({"type": "None", "pad": ""})").padding == PaddingSide::none);
}

TEST_CASE("iso8583.composite fields are taken as a whole") {
  const auto ascii = field_of(R"({"type": "Composite", "length": 6, "prefix": "ASCII.Fixed", "subfields": {
    "1": {"type": "String", "length": 2, "enc": "ASCII", "prefix": "ASCII.Fixed"}}})");
  CHECK(ascii.encoding == FieldEncoding::ascii);
  const auto tlv = field_of(R"({"type": "Composite", "length": 255, "prefix": "ASCII.LLL", "tag": {"enc": "BerTLVTag"},
    "subfields": {"9A": {"type": "Binary", "enc": "Binary", "prefix": "BerTLV"}}})");
  CHECK(tlv.encoding == FieldEncoding::binary);
  CHECK(tlv.length == 255);
}

TEST_CASE("iso8583.a specification may go up to field 192, and say anything of the bits for bitmaps") {
  const auto field = R"({"type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed"})";
  const auto text = spec_with(std::string("\"192\": ") + field + ", \"Field065\": " + field + ", \"129\": " + field);
  const auto spec = config::parse_iso8583_spec(text);
  REQUIRE(spec.has_value());
  CHECK(spec->fields[192].encoding == FieldEncoding::ascii);
  CHECK(spec->fields[65].encoding == FieldEncoding::none);
  CHECK(spec->fields[129].encoding == FieldEncoding::none);
}

TEST_CASE("iso8583.what is wrong with a specification is said with its place") {
  const auto with_two = [](std::string_view members) { return spec_with("\"2\": {" + std::string(members) + "}"); };
  struct Case {
    std::string text;
    std::string_view error;
  };
  const std::vector<Case> cases = {
      {"", "the file is empty"},
      {"[]", "/: must be an object"},
      {"{\"fields\": {}, \"x\": 1}", "/x: is not a key of the format"},
      {"{\"fields\": {}, \"fields\": {}}", "/fields: this key stands here twice"},
      {"{\"name\": \"a\"", "line 1, column "},
      {"{}", "/fields: must be an object"},
      {"{\"fields\": {}}", "/fields/0: is missing: the MTI"},
      {"{\"fields\": {" + std::string(kMti) + "}}", "/fields/1: is missing: the bitmap"},
      {spec_with("\"193\": {}"), "/fields/193: must be a field's number between 0 and 192"},
      {spec_with("\"02\": {}"), "/fields/02: must be a field's number"},
      {spec_with("\"-2\": {}"), "/fields/-2: must be a field's number"},
      {spec_with("\"2\": 7"), "/fields/2: must be an object"},
      {spec_with(R"("2": {"type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed"},
                    "Field002": {"type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed"})"),
       "/fields/Field002: this field is there twice"},
      {with_two(""), "/fields/2/type: is missing"},
      {with_two(R"("type": "Strnig")"), "/fields/2/type: \"Strnig\" is no type of field; did you mean \"String\"?"},
      {with_two(R"("type": "String", "lenght": 1)"),
       "/fields/2/lenght: is not a key of the format; did you mean \"length\"?"},
      {with_two(R"("type": "String", "length": 8)"), "/fields/2/enc: is missing"},
      {with_two(R"("type": "String", "length": 8, "enc": "UTF8", "prefix": "ASCII.LL")"),
       "/fields/2/enc: \"UTF8\" is no encoding known here"},
      {with_two(R"("type": "String", "length": 8, "enc": "ASCII")"), "/fields/2/prefix: is missing"},
      {with_two(R"("type": "String", "length": 8, "enc": "ASCII", "prefix": "LL")"),
       "/fields/2/prefix: must be the encoding"},
      {with_two(R"("type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.LX")"), "/fields/2/prefix: must be"},
      {with_two(R"("type": "String", "length": 8, "enc": "ASCII", "prefix": "BerTLV.LL")"),
       "/fields/2/prefix: \"BerTLV\""},
      {with_two(R"("type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.LLLLL")"),
       "/fields/2/prefix: has more"},
      {with_two(R"("type": "String", "enc": "ASCII", "prefix": "ASCII.LL")"), "/fields/2/length: is missing"},
      {with_two(R"("type": "String", "length": 0, "enc": "ASCII", "prefix": "ASCII.LL")"),
       "/fields/2/length: must be a whole number between 1 and 99"},
      {with_two(R"("type": "String", "length": 100, "enc": "ASCII", "prefix": "ASCII.LL")"),
       "/fields/2/length: must be"},
      {with_two(R"("type": "String", "length": -1, "enc": "ASCII", "prefix": "ASCII.LL")"),
       "/fields/2/length: must be"},
      {with_two(R"("type": "String", "length": 256, "enc": "ASCII", "prefix": "Binary.L")"),
       "/fields/2/length: must be a whole number between 1 and 255"},
      {with_two(R"("type": "String", "length": 4000000000, "enc": "ASCII", "prefix": "ASCII.Fixed")"),
       "/fields/2/length: must be a whole number between 1 and 65535"},
      {with_two(R"("type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed", "padding": "Left")"),
       "/fields/2/padding: must be an object"},
      {with_two(
           R"("type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed", "padding": {"type": "Up", "pad": "0"})"),
       "/fields/2/padding/type: \"Up\" is no padding"},
      {with_two(
           R"("type": "String", "length": 8, "enc": "ASCII", "prefix": "ASCII.Fixed", "padding": {"type": "Left", "pad": "00"})"),
       "/fields/2/padding/pad: must be one character"},
      {with_two(
           R"("type": "String", "length": 8, "enc": "BCD", "prefix": "ASCII.Fixed", "padding": {"type": "Left", "pad": " "})"),
       "/fields/2/padding/pad: must be a digit"},
      {R"({"fields": {"0": {"type": "String", "length": 3, "enc": "ASCII", "prefix": "ASCII.Fixed"}}})",
       "/fields/0/length: the MTI has a fixed length of 4"},
      {R"({"fields": {"0": {"type": "String", "length": 4, "enc": "Binary", "prefix": "ASCII.Fixed"}}})",
       "/fields/0/enc: the MTI is four digits"},
      {R"({"fields": {"1": {"type": "Binary", "length": 8, "enc": "Binary", "prefix": "Hex.Fixed"}}})",
       "/fields/1/type: field 1 is the bitmap"},
      {R"({"fields": {"1": {"type": "Bitmap", "length": 8, "enc": "BCD", "prefix": "Hex.Fixed"}}})",
       "/fields/1/enc: a bitmap is"},
      {R"({"fields": {"1": {"type": "Bitmap", "length": 8, "enc": "Binary", "prefix": "Hex.LL"}}})",
       "/fields/1/prefix: a bitmap has"},
      {R"({"fields": {"1": {"type": "Bitmap", "length": 16, "enc": "Binary", "prefix": "Hex.Fixed", "disableautoexpand": true}}})",
       "/fields/1/disableautoexpand: bitmaps of a fixed length"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    const auto error = error_of(one.text);
    CHECK_MESSAGE(error.starts_with(one.error), error);
  }
  CHECK(error_of(std::string(config::kIso8583SpecFileBytesMax + 1, ' ')).starts_with("is longer than"));
}
