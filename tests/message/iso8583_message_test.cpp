// Messages that the engine makes: templates, and automatic replies.
#include <doctest/doctest.h>

#include <vector>

#include "engine/message/iso8583/auto_reply.hpp"
#include "engine/message/iso8583/message_template.hpp"
#include "tests/message/iso8583_support.hpp"

using namespace tlsmux;
using engine::message::iso8583::AutoReply;
using engine::message::iso8583::MessageTemplate;
using engine::message::iso8583::TemplateValues;
using test::as_text;
using test::from_hex;
using test::from_text;

namespace {

// 2026-11-21 22:03:49 UTC; 23:03:49 an hour to the east.
constexpr TemplateValues kValues{
    .trace_number = 42, .counter = 1'234'567, .utc_s = 1'795'298'629, .local_offset_s = 3600};

test::Bytes built(const config::Iso8583Settings& settings, const config::MessageSettings& message,
                  const TemplateValues& values = kValues) {
  const MessageTemplate compiled(settings, message);
  test::Bytes out(compiled.message_bytes());
  const auto length = compiled.build(values, out);
  REQUIRE_MESSAGE(length.has_value(), (length ? "" : as_text(length.error())));
  CHECK(*length == out.size());
  // One byte less is refused, and nothing is written beyond it.
  test::Bytes small(out.size() - 1);
  REQUIRE_FALSE(compiled.build(values, small).has_value());
  CHECK(compiled.build(values, small).error().kind == engine::message::iso8583::Iso8583ErrorKind::no_room);
  return out;
}

const config::MessageSettings kSignOn = {.mti = "0800",
                                         .fields = {{7, "{date_time}"},
                                                    {11, "{trace_number}"},
                                                    {12, "{local_time}"},
                                                    {13, "{local_date}"},
                                                    {41, "TERM1"},
                                                    {48, "N{counter}/{local_year}"},
                                                    {52, "00ff"},
                                                    {70, "1"}},
                                         .expect = {}};

config::MessageSettings without_pin(config::MessageSettings message) {
  message.fields.erase(52);
  return message;
}

std::string difference_of(const MessageTemplate& compiled, const test::Bytes& answer) {
  const auto difference = compiled.check_answer(answer);
  if (!difference) return as_text(difference.error());
  return *difference ? std::to_string(**difference) : "none";
}

std::string replied(const AutoReply& reply, const test::Bytes& request) {
  test::Bytes out(1000);
  const auto length = reply.reply(request, out);
  if (!length) return as_text(length.error());
  return test::to_text(std::span(out).first(*length));
}

}  // namespace

TEST_CASE("iso8583.a template becomes the message written by hand") {
  auto settings = test::settings_with("1987_ascii");
  // Bits 1, 7, 11, 12, 13, 41, 48; 70.
  CHECK(test::to_text(built(settings, without_pin(kSignOn))) ==
        "0800"
        "8238000000810000"
        "0400000000000000"
        "1121220349"
        "000042"
        "230349"
        "1121"
        "TERM1   "
        "010"
        "N234567/26"
        "001");
  settings.header_bytes = 2;
  settings.header = {0xca, 0xfe};
  CHECK(test::to_hex(built(settings, {.mti = "0820", .fields = {{11, "{trace_number}"}}, .expect = {}})) ==
        "cafe" + test::to_hex(from_text("0820"
                                        "0020000000000000"
                                        "000042")));
}

TEST_CASE("iso8583.a template in BCD, EBCDIC and binary") {
  const auto settings = test::settings_with("1987_binary");
  auto message = without_pin(kSignOn);
  message.fields[52] = "0102030405060708";
  CHECK(test::to_hex(built(settings, message)) ==
        test::to_hex(test::joined(from_hex("0800 8238000000811000 0400000000000000 1121220349 000042 230349 1121"),
                                  from_text("TERM1   "), from_hex("0010"), from_text("N234567/26"),
                                  from_hex("0102030405060708 0001"))));

  // Odd numbers of digits, left and right; a number within others; a tertiary bitmap.
  config::Iso8583Spec spec;
  spec.mti = {.encoding = config::FieldEncoding::ebcdic, .length = 4};
  spec.bitmap = config::BitmapEncoding::ebcdic_hex;
  spec.fields[3] = {.encoding = config::FieldEncoding::bcd, .length = 7};
  spec.fields[4] = {.encoding = config::FieldEncoding::bcd_left, .length = 7};
  spec.fields[5] = {
      .encoding = config::FieldEncoding::bcd, .prefix = config::LengthPrefix::bcd, .prefix_digits = 2, .length = 19};
  spec.fields[6] = {.encoding = config::FieldEncoding::ebcdic,
                    .prefix = config::LengthPrefix::ebcdic,
                    .prefix_digits = 2,
                    .length = 19};
  spec.fields[130] = {
      .encoding = config::FieldEncoding::hex, .prefix = config::LengthPrefix::hex, .prefix_digits = 1, .length = 20};
  const auto bytes = built(test::settings_with(spec), {.mti = "0800",
                                                       .fields = {{3, "{trace_number}"},
                                                                  {4, "{trace_number}"},
                                                                  {5, "9{trace_number}"},
                                                                  {6, "a{local_year}"},
                                                                  {130, "0aB0"}},
                                                       .expect = {}});
  CHECK(test::to_hex(bytes) == test::to_hex(from_hex("f0f8f0f0"
                                                     "c2c3f0f0f0f0f0f0f0f0f0f0f0f0f0f0"  // BC: 1, 3, 4, 5, 6
                                                     "f8f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0"  // 65
                                                     "f4f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0"  // 130
                                                     "00000042 00000420 07 09000042 f0f3 81f2f6 3032 30414230")));
}

TEST_CASE("iso8583.trace numbers, counters and dates at their limits") {
  const auto settings = test::settings_with("1987_ascii");
  const config::MessageSettings message{
      .mti = "0800", .fields = {{11, "{trace_number}"}, {37, "{counter}"}, {7, "{date_time}"}}, .expect = {}};
  const MessageTemplate compiled(settings, message);
  test::Bytes out(compiled.message_bytes());
  CHECK(compiled.build({.trace_number = 999'999}, out).has_value());
  const auto too_long = compiled.build({.trace_number = 1'000'000}, out);
  REQUIRE_FALSE(too_long.has_value());
  CHECK(as_text(too_long.error()) == "too_long field 11 offset 30");
  const auto text = [&](const TemplateValues& values) {
    return test::to_text(built(settings, message, values)).substr(20);
  };
  CHECK(text({.trace_number = 1, .counter = 0, .utc_s = 0}) ==
        "0101000000"
        "000001"
        "000000000000");
  CHECK(text({.trace_number = 1, .counter = 9'999'999'999'999, .utc_s = 951'782'400}) ==
        "0229000000"
        "000001"
        "999999999999");
  CHECK(text({.trace_number = 1, .counter = 7, .utc_s = -1}) ==
        "1231235959"
        "000001"
        "000000000007");
}

TEST_CASE("iso8583.an answer is compared field by field, whatever its padding") {
  auto settings = test::settings_with("1987_ascii");
  auto message = without_pin(kSignOn);
  message.expect = {{39, "00"}, {41, "TERM1"}, {52, "00112233445566FF"}};
  const MessageTemplate compiled(settings, message);
  const std::string head =
      "0810"
      "0000000002801000";
  CHECK(difference_of(compiled, from_text(head + "00"
                                                 "TERM1   "
                                                 "00112233445566ff")) == "none");
  CHECK(difference_of(compiled, from_text(head + "05"
                                                 "TERM1   "
                                                 "00112233445566ff")) == "39");
  CHECK(difference_of(compiled, from_text(head + "00"
                                                 "TERM11  "
                                                 "00112233445566ff")) == "41");
  CHECK(difference_of(compiled, from_text(head + "00"
                                                 "TERM1   "
                                                 "00112233445566fe")) == "52");
  CHECK(difference_of(compiled, from_text(head + "00"
                                                 "TERM1   "
                                                 "xx112233445566fe")) == "52");
  CHECK(difference_of(compiled, from_text("0810"
                                          "0000000002800000"
                                          "00"
                                          "TERM1   ")) == "52");
  CHECK(difference_of(compiled, from_text("0810"
                                          "0000000000800000"
                                          "TERM1   ")) == "39");
  CHECK(difference_of(compiled, from_text(head + "00"
                                                 "TERM")) == "truncated field 41 offset 22");
  CHECK(difference_of(compiled, from_text("08")) == "truncated field 0 offset 0");
  const MessageTemplate anything(settings, without_pin(kSignOn));
  CHECK(difference_of(anything, from_text("0810"
                                          "0000000000000000")) == "none");
}

TEST_CASE("iso8583.an automatic reply is the request with the response's type and code") {
  const auto settings = test::settings_with("1987_ascii");
  const AutoReply reply(settings, {.mti = "0800", .match = {{70, "301"}}, .set = {}});
  // Bits 1, 7, 11, 128 and 70.
  const auto request = from_text(
      "0800"
      "8220000000000000"
      "0400000000000001"
      "1121220349"
      "000042"
      "301"
      "A1B2C3D4E5F60718");
  CHECK(reply.matches(request));
  CHECK(replied(reply, request) ==
        "0810"
        "8220000002000000"
        "0400000000000001"
        "1121220349"
        "000042"
        "00"
        "301"
        "A1B2C3D4E5F60718");
  CHECK_FALSE(
      reply.matches(from_text("0800"
                              "8220000000000000"
                              "0400000000000000"
                              "1121220349"
                              "000042"
                              "001")));
  CHECK_FALSE(
      reply.matches(from_text("0820"
                              "8220000000000000"
                              "0400000000000000"
                              "1121220349"
                              "000042"
                              "301")));
  CHECK_FALSE(
      reply.matches(from_text("0810"
                              "8220000000000000"
                              "0400000000000000"
                              "1121220349"
                              "000042"
                              "301")));
  CHECK_FALSE(
      reply.matches(from_text("0800"
                              "0020000000000000"
                              "000042")));
  CHECK_FALSE(
      reply.matches(from_text("0800"
                              "8220000000000000"
                              "0400000000000000"
                              "1121220349"
                              "000042"
                              "3")));

  // Set and left out: the bitmaps follow, down to one.
  const AutoReply own(settings,
                      {.mti = "0800", .match = {}, .set = {{39, "85"}, {70, ""}, {128, ""}, {44, "fine"}, {11, "7"}}});
  CHECK(replied(own, request) ==
        "0810"
        "0220000002100000"
        "1121220349"
        "000007"
        "85"
        "04fine");
  const AutoReply silent(settings, {.mti = "0421", .match = {}, .set = {{39, ""}}});
  CHECK(replied(silent, from_text("0421"
                                  "0020000000000000"
                                  "000042")) ==
        "0430"
        "0020000000000000"
        "000042");
}

TEST_CASE("iso8583.an automatic reply ends where its memory ends, and where the request cannot be read") {
  const auto settings = test::settings_with("1987_binary");
  const AutoReply reply(settings, {.mti = "0800", .match = {}, .set = {}});
  const auto request = test::joined(from_hex("0800 0220000000800000 1121220349 000042"), from_text("TERM1   "));
  test::Bytes out(100);
  const auto whole = reply.reply(request, out);
  REQUIRE(whole.has_value());
  CHECK(*whole == request.size() + 2);
  CHECK(test::to_hex(std::span(out).first(*whole)) ==
        test::to_hex(test::joined(from_hex("0810 0220000002800000 1121220349 000042"), from_text("00TERM1   "))));
  for (std::size_t room = 0; room < *whole; ++room) {
    const auto cut = reply.reply(request, std::span(out).first(room));
    REQUIRE_FALSE(cut.has_value());
    CHECK(cut.error().kind == engine::message::iso8583::Iso8583ErrorKind::no_room);
  }
  for (std::size_t length = 0; length < request.size(); ++length) {
    const auto cut = reply.reply(std::span(request).first(length), out);
    REQUIRE_FALSE(cut.has_value());
    CHECK(cut.error().kind == engine::message::iso8583::Iso8583ErrorKind::truncated);
  }
  auto longer = request;
  longer.push_back(std::byte{0});
  CHECK(replied(reply, longer) == "trailing_bytes field 41 offset 26");
}

TEST_CASE("iso8583.BASE I headers of messages and replies have their length, and the stations exchanged") {
  auto settings = test::settings_with("1987_binary");
  settings.header_format = config::HeaderFormat::base1;
  const auto header = from_hex("16010200ff a1a2a3 b1b2b3 0000000000000000000000");
  settings.header.assign(22, 0);
  for (std::size_t i = 0; i < header.size(); ++i) settings.header[i] = std::to_integer<std::uint8_t>(header[i]);
  const auto message = built(settings, {.mti = "0800", .fields = {{11, "{trace_number}"}}, .expect = {}});
  CHECK(test::to_hex(message) ==
        "1601020023"
        "a1a2a3"
        "b1b2b3"
        "0000000000000000000000"
        "0800"
        "0020000000000000"
        "000042");
  const AutoReply reply(settings, {.mti = "0800", .match = {}, .set = {}});
  CHECK(reply.matches(message));
  const auto text = replied(reply, message);
  CHECK(test::to_hex(std::as_bytes(std::span(text))) ==
        "1601020025"
        "b1b2b3"
        "a1a2a3"
        "0000000000000000000000"
        "0810"
        "0020000002000000"
        "000042"
        "3030");
}
