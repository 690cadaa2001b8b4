// Correlation keys of ISO 8583 messages.
#include <doctest/doctest.h>

#include <set>
#include <vector>

#include "engine/message/correlation.hpp"
#include "tests/message/iso8583_support.hpp"

using namespace tlsmux;
using engine::message::Correlation;
using engine::message::CorrelationKey;
using engine::message::MessageRole;
using test::as_text;
using test::from_hex;
using test::from_text;

namespace {

Correlation by(const config::Iso8583Settings& settings) {
  config::CorrelationSettings correlation;
  correlation.kind = config::CorrelationKind::iso8583;
  correlation.iso8583 = settings;
  return Correlation(correlation);
}

// Bits 3, 7, 11, 41.
test::Bytes message(std::string_view mti, std::string_view trace, std::string_view terminal,
                    std::string_view processing_code = "000000") {
  return from_text(std::string(mti) + "2220000000800000" + std::string(processing_code) + "1121220349" +
                   std::string(trace) + std::string(terminal));
}

CorrelationKey key_of(const Correlation& correlation, const test::Bytes& bytes) {
  const auto key = correlation.request_key(bytes);
  REQUIRE_MESSAGE(key.has_value(), (key ? "" : as_text(key.error())));
  return *key;
}

std::string error_of(const Correlation& correlation, const test::Bytes& bytes) {
  const auto key = correlation.request_key(bytes);
  return key ? "" : as_text(key.error());
}

std::string hex_of(const CorrelationKey& key) { return test::to_hex(std::span(key.bytes).first(key.length)); }

}  // namespace

TEST_CASE("correlation.iso8583 request and response have the same key, written out") {
  const auto correlation = by(test::settings_with("1987_ascii"));
  const auto request = key_of(correlation, message("0100", "000042", "TERM1   "));
  const auto response = correlation.response_key(message("0110", "000042", "TERM1   "));
  REQUIRE(response.has_value());
  CHECK(request == *response);
  // Rule 0; "010"; 41: 5 bytes; 11: 2 bytes.
  CHECK(hex_of(request) ==
        "00303130"
        "29055445524d31"
        "0b023432");
  CHECK(request != key_of(correlation, message("0100", "000043", "TERM1   ")));
  CHECK(request != key_of(correlation, message("0100", "000042", "TERM2   ")));
  CHECK(request != key_of(correlation, message("0200", "000042", "TERM1   ")));
  CHECK(correlation.prefix_bytes() <= config::kKeyPrefixBytesMax);
}

TEST_CASE("correlation.iso8583 classes of messages count as the mti_map says") {
  const auto correlation = by(test::settings_with("1987_ascii"));
  const auto of = [&](std::string_view mti) {
    return hex_of(key_of(correlation, message(mti, "000042", "TERM1   "))).substr(2, 6);
  };
  CHECK(of("0100") == of("0110"));
  CHECK(of("0420") == of("0430"));
  CHECK(of("0421") == of("0430"));  // the fourth digit does not count
  CHECK(of("0400") != of("0420"));
  CHECK(of("0200") != of("0220"));
  CHECK(of("1100") != of("0100"));
  CHECK(of("0120") != of("0110"));
  CHECK(of("0140") == of("0150"));
  CHECK(of("0160") == of("0170"));
  CHECK(of("0180") != of("0190"));  // 8 and 9 are reserved: nothing is known of them

  auto own = test::settings_with("1987_ascii");
  own.mti_map = {"0023456789", "0123456789", "0022446689"};
  const auto versions = by(own);
  CHECK(key_of(versions, message("1100", "000042", "TERM1   ")) ==
        key_of(versions, message("0110", "000042", "TERM1   ")));
}

TEST_CASE("correlation.iso8583 values are the same in every encoding") {
  const auto ascii = by(test::settings_with("1987_ascii"));
  const auto binary = by(test::settings_with("1987_binary"));
  const auto wanted = key_of(ascii, message("0100", "000042", "TERM1   "));
  CHECK(key_of(binary, test::joined(from_hex("0100 2220000000800000 000000 1121220349 000042"),
                                    from_text("TERM1   "))) == wanted);

  config::Iso8583Spec ebcdic = test::built_in("1987_ascii");
  ebcdic.mti.encoding = config::FieldEncoding::ebcdic;
  ebcdic.bitmap = config::BitmapEncoding::ebcdic_hex;
  for (auto& field : ebcdic.fields) {
    if (field.encoding == config::FieldEncoding::ascii) field.encoding = config::FieldEncoding::ebcdic;
    if (field.prefix == config::LengthPrefix::ascii) field.prefix = config::LengthPrefix::ebcdic;
  }
  // Bits 11 and 41.
  const auto in_ebcdic = from_hex("f0f1f0f0 f0f0f2f0f0f0f0f0f0f0f8f0f0f0f0f0 f0f0f0f0f4f2 e3c5d9d4f1404040");
  CHECK(key_of(by(test::settings_with(ebcdic)), in_ebcdic) == wanted);
}

TEST_CASE("correlation.iso8583 no two keys are equal because of where a value ends") {
  // Three fields of variable length and any bytes, next to each other.
  config::Iso8583Spec spec = test::built_in("1987_ascii");
  const config::Iso8583Field any{.encoding = config::FieldEncoding::ascii,
                                 .prefix = config::LengthPrefix::binary,
                                 .prefix_digits = 1,
                                 .length = 8};
  spec.fields[2] = spec.fields[3] = spec.fields[4] = any;
  auto settings = test::settings_with(spec);
  settings.key_fields = {2, 3, 4};
  settings.absent_key_field = config::AbsentField::skip;
  const auto correlation = by(settings);

  // All ways to have, or not to have, each of the fields with each of these values.
  const std::vector<std::string> values = {"",
                                           "a",
                                           "aa",
                                           "aaa",
                                           std::string("\x03\x01", 2),
                                           std::string("\x03\x01"
                                                       "a",
                                                       3),
                                           std::string("a\x03\x01", 3),
                                           std::string(1, '\0'),
                                           std::string(2, '\0')};
  std::set<std::string> keys;
  std::size_t count = 0;
  const auto choices = values.size() + 1;
  for (std::size_t choice = 1; choice < choices * choices * choices; ++choice) {
    std::uint64_t bits = 0;
    std::string contents;
    std::size_t rest = choice;
    for (const int field : {2, 3, 4}) {
      const std::size_t chosen = rest % choices;
      rest /= choices;
      if (chosen == 0) continue;
      bits |= std::uint64_t{1} << (64 - field);
      contents += static_cast<char>(values[chosen - 1].size());
      contents += values[chosen - 1];
    }
    std::array<char, 17> bitmap{};
    std::snprintf(bitmap.data(), bitmap.size(), "%016llx", static_cast<unsigned long long>(bits));
    keys.insert(hex_of(key_of(correlation, from_text("0100" + std::string(bitmap.data()) + contents))));
    ++count;
  }
  CHECK(keys.size() == count);
}

TEST_CASE("correlation.iso8583 an absent key field is an error, or skipped where that is configured") {
  auto settings = test::settings_with("1987_ascii");
  const auto no_terminal = from_text(
      "08000020000000000000"
      "000042");
  const auto none = from_text(
      "0800"
      "0000000000000000");
  CHECK(error_of(by(settings), no_terminal) == "absent field 41 offset 26");
  CHECK(error_of(by(settings), none) == "absent field 41 offset 20");
  settings.absent_key_field = config::AbsentField::skip;
  CHECK(hex_of(key_of(by(settings), no_terminal)) ==
        "00303830"
        "0b023432");
  CHECK(error_of(by(settings), none) == "absent field 41 offset 20");
}

TEST_CASE("correlation.iso8583 rules by message type and processing code, the first that fits") {
  auto settings = test::settings_with("1987_ascii");
  settings.key_rules = {{.mti = "010", .processing_code = "31", .fields = {7}},
                        {.mti = "010", .processing_code = {}, .fields = {11}},
                        {.mti = {}, .processing_code = "99", .fields = {3}}};
  const auto correlation = by(settings);
  const auto of = [&](std::string_view mti, std::string_view code) {
    return hex_of(key_of(correlation, message(mti, "000042", "TERM1   ", code)));
  };
  CHECK(of("0100", "310000") ==
        "00303130"
        "070a31313231323230333439");
  CHECK(of("0110", "310000") == of("0100", "310000"));
  CHECK(of("0100", "300000") ==
        "01303130"
        "0b023432");
  CHECK(of("0100", "990000") == of("0100", "300000"));
  CHECK(of("0200", "990000") ==
        "02303230"
        "0306393930303030");
  CHECK(of("0200", "000000")
            .starts_with("03303230"
                         "2905"));
  // Without a processing code no rule that needs one fits.
  CHECK(hex_of(key_of(correlation, from_text("08000020000000800000"
                                             "000042"
                                             "TERM1   ")))
            .starts_with("03303830"));
}

TEST_CASE("correlation.iso8583 padding as the specification or the rule of the field says") {
  auto settings = test::settings_with("1987_ascii");
  const auto by_spec = by(settings);
  CHECK(key_of(by_spec, message("0100", "000042", "TERM1   ")) !=
        key_of(by_spec, message("0100", "000042", " TERM1  ")));
  settings.key_padding = {{.field = 41, .left = {' '}, .right = {' '}}, {.field = 11, .left = {}, .right = {}}};
  const auto by_rule = by(settings);
  CHECK(key_of(by_rule, message("0100", "000042", "TERM1   ")) ==
        key_of(by_rule, message("0100", "000042", " TERM1  ")));
  CHECK(hex_of(key_of(by_rule, message("0100", "000042", "TERM1   "))).ends_with("0b06303030303432"));
}

TEST_CASE("correlation.iso8583 bytes of the header belong to the key where that is configured") {
  auto settings = test::settings_with("1987_ascii");
  settings.header_bytes = 5;
  settings.key_header_offset = 1;
  settings.key_header_length = 2;
  const auto correlation = by(settings);
  const auto with = [&](std::string_view header) {
    return test::joined(from_text(header), message("0100", "000042", "TERM1   "));
  };
  CHECK(hex_of(key_of(correlation, with("6abXY")))
            .starts_with("00303130"
                         "6162"
                         "29"));
  CHECK(key_of(correlation, with("6abXY")) == key_of(correlation, with("7ab00")));
  CHECK(key_of(correlation, with("6abXY")) != key_of(correlation, with("6acXY")));
  CHECK(error_of(correlation, from_text("6abX")) == "truncated field 0 offset 0");

  settings.header_format = config::HeaderFormat::base1;
  settings.header_bytes = 0;
  settings.key_header_offset = 2;
  const auto base1 = by(settings);
  const auto header = test::joined(from_hex("0400"), from_text("ab"), message("0100", "000042", "TERM1   "));
  CHECK(hex_of(key_of(base1, header))
            .starts_with("00303130"
                         "6162"
                         "29"));
  const auto short_header = test::joined(from_hex("0300"), from_text("a"), message("0100", "000042", "TERM1   "));
  CHECK(error_of(base1, short_header) == "bad_header field 0 offset 0");
}

TEST_CASE("correlation.iso8583 a hex field that is none, and a key beyond the longest, are errors") {
  auto settings = test::settings_with("1987_ascii");
  settings.key_fields = {52};
  CHECK(error_of(by(settings), from_text("0100"
                                         "0000000000001000"
                                         "00112233445566GG")) == "bad_value field 52 offset 20");
  CHECK(hex_of(key_of(by(settings), from_text("0100"
                                              "0000000000001000"
                                              "00112233445566fF"))) ==
        "00303130"
        "3408"
        "00112233445566ff");
  // check_iso8583 refuses such keys; without it they are still no danger.
  settings.key_fields = {48};
  CHECK(error_of(by(settings), from_text("0100"
                                         "0000000000010000"
                                         "059" +
                                         std::string(59, 'x'))) == "key_too_long field 48 offset 23");
  CHECK(error_of(by(settings), from_text("0100"
                                         "0000000000010000"
                                         "058" +
                                         std::string(58, 'x')))
            .empty());
}

TEST_CASE("correlation.iso8583 a key beyond the copied prefix is told from a message that ends early") {
  auto settings = test::settings_with("1987_ascii");
  const auto correlation = by(settings);
  // Bits 11, 36 (999 bytes are too many for it, so 104), 41.
  const auto whole = from_text(
      "01000020000010800000"
      "000042"
      "104" +
      std::string(104, 'z') + "TERM1   ");
  const auto prefix = std::span<const std::byte>(whole).first(100);
  const auto beyond = correlation.request_key(prefix, whole.size());
  REQUIRE_FALSE(beyond.has_value());
  CHECK(as_text(beyond.error()) == "beyond_prefix field 36 offset 29");
  const auto truncated = correlation.request_key(prefix);
  REQUIRE_FALSE(truncated.has_value());
  CHECK(as_text(truncated.error()) == "truncated field 36 offset 29");
  CHECK(correlation.request_key(
            std::span<const std::byte>(whole).first(std::min(whole.size(), correlation.prefix_bytes())),
            whole.size()) == correlation.response_key(whole));
}

TEST_CASE("correlation.iso8583 a host's own request is never taken for an answer") {
  const auto correlation = by(test::settings_with("1987_ascii"));
  const auto role = [&](std::string_view mti) { return correlation.role(message(mti, "000042", "TERM1   ")); };
  for (const auto* mti : {"0110", "0210", "0430", "0810", "0130", "1814"}) CHECK(role(mti) == MessageRole::response);
  for (const auto* mti : {"0100", "0420", "0421", "0800", "0820", "1804", "0140"})
    CHECK(role(mti) == MessageRole::request);
  CHECK(correlation.role(from_text("08x0")) == MessageRole::unreadable);
  CHECK(correlation.role(from_text("081")) == MessageRole::unreadable);
  CHECK(correlation.role({}) == MessageRole::unreadable);
  // The key alone would not tell them apart.
  CHECK(correlation.request_key(message("0800", "000042", "TERM1   ")) ==
        correlation.response_key(message("0810", "000042", "TERM1   ")));

  auto settings = test::settings_with("1987_ascii");
  settings.response_functions = "3";
  CHECK(by(settings).role(message("0810", "000042", "TERM1   ")) == MessageRole::request);
  CHECK(by(settings).role(message("0830", "000042", "TERM1   ")) == MessageRole::response);
  const Correlation fifo(config::CorrelationSettings{});
  CHECK(fifo.role(from_text("0800")) == MessageRole::response);
}
