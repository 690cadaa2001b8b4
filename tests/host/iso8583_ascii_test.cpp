#include "tests/host/iso8583_ascii.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/host/iso8583_request.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux::host;

namespace {

// Type 0800; bits 1, 7 and 11; bit 70; then the three fields.
constexpr std::string_view kEchoTest =
    "0800"
    "8220000000000000"
    "0400000000000000"
    "0713120000"
    "000001"
    "301";

// Type 0100; bits 2, 3, 4, 7, 11, 41: 0111 0010 0010 0000 ... and bit 41 in the sixth byte.
constexpr std::string_view kAuthorization =
    "0100"
    "7220000000800000"
    "164000000000000002"
    "000000"
    "000000001234"
    "0713120000"
    "000042"
    "TERM0001";

std::string longest_value(const FieldSpec& spec) {
  switch (spec.kind) {
    case FieldKind::month_day: return "0229";
    case FieldKind::year_month: return "3012";
    case FieldKind::time: return "235959";
    case FieldKind::month_day_time: return "1231235959";
    case FieldKind::signed_amount: return "D" + std::string(spec.length - 1U, '7');
    case FieldKind::hexadecimal: return std::string(spec.length, 'A');
    case FieldKind::numeric:
    case FieldKind::track: return std::string(spec.length, '9');
    case FieldKind::alphanumeric:
    case FieldKind::text: return std::string(spec.length, 'x');
  }
  return {};
}

struct Refusal {
  std::string bytes;
  unsigned field;
  std::size_t offset;
};

}  // namespace

TEST_CASE("host.iso8583 parses and rebuilds messages written by hand") {
  const auto echo_test = parse(kEchoTest);
  REQUIRE(echo_test.has_value());
  CHECK(echo_test->type == "0800");
  CHECK(echo_test->field(7) == "0713120000");
  CHECK(echo_test->field(11) == "000001");
  CHECK(echo_test->field(70) == "301");
  CHECK(echo_test->has(1));
  CHECK_FALSE(echo_test->has(2));
  CHECK_FALSE(echo_test->has(128));

  const auto authorization = parse(kAuthorization);
  REQUIRE(authorization.has_value());
  CHECK(authorization->field(2) == "4000000000000002");
  CHECK(authorization->field(4) == "000000001234");
  CHECK(authorization->field(41) == "TERM0001");
  CHECK_FALSE(authorization->has(1));

  std::string rebuilt = "before ";
  REQUIRE(build(*echo_test, rebuilt).has_value());
  REQUIRE(build(*authorization, rebuilt).has_value());
  CHECK(rebuilt == "before " + std::string(kEchoTest) + std::string(kAuthorization));
}

TEST_CASE("host.iso8583 carries each field at its longest and alone") {
  for (unsigned number = 2; number <= kFieldMax; ++number) {
    CAPTURE(number);
    const std::string value = longest_value(field_spec(number));
    REQUIRE(value.size() == field_spec(number).length);
    Message message;
    message.type = "0100";
    message.set(number, value);
    std::string bytes;
    REQUIRE(build(message, bytes).has_value());
    CHECK(bytes.size() == 4U + (number > 64 ? 32 : 16) + field_spec(number).length_digits + value.size());
    const auto parsed = parse(bytes);
    REQUIRE(parsed.has_value());
    CHECK(parsed->field(number) == value);
    CHECK(parsed->bitmaps() == message.bitmaps());

    Message too_long;
    too_long.type = "0100";
    const std::string longer = value + value.back();
    too_long.set(number, longer);
    const auto refused = build(too_long, bytes);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().field == number);
  }
}

TEST_CASE("host.iso8583 carries all fields together and refuses every shortened form") {
  std::vector<std::string> values(kFieldMax + 1);
  Message message;
  message.type = "0200";
  for (unsigned number = 2; number <= kFieldMax; ++number) {
    const FieldSpec& spec = field_spec(number);
    values[number] = longest_value(spec).substr(0, spec.length_digits > 0 ? 3 : spec.length);
    message.set(number, values[number]);
  }
  std::string bytes;
  REQUIRE(build(message, bytes).has_value());
  CHECK(bytes.substr(4, 32) == "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF");
  const auto parsed = parse(bytes);
  REQUIRE(parsed.has_value());
  for (unsigned number = 2; number <= kFieldMax; ++number) CHECK(parsed->field(number) == values[number]);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    if (parse(std::string_view(bytes).substr(0, length)).has_value()) FAIL_CHECK("parsed a part of ", length);
  }
  CHECK_FALSE(parse(bytes + "0").has_value());
}

TEST_CASE("host.iso8583 says which field is wrong and where") {
  const std::string head = "0100";
  const std::vector<Refusal> refusals = {
      {"", 0, 0},
      {"01", 0, 0},
      {"01x07220000000800000", 0, 0},
      {"1100" + std::string(16, '0'), 0, 0},                          // version 1993
      {head + "72200000008000", 1, 4},                                // short bitmap
      {head + "722000000080000G", 1, 4},                              // not hexadecimal
      {head + "8000000000000000" + "00000000", 1, 20},                // short second bitmap
      {head + "4000000000000000", 2, 20},                             // no length
      {head + "4000000000000000" + "1", 2, 20},                       // half a length
      {head + "4000000000000000" + "1x4000", 2, 20},                  // length not digits
      {head + "4000000000000000" + "2012345678901234567890", 2, 20},  // above 19
      {head + "4000000000000000" + "16400000000000000", 2, 20},       // one digit short
      {head + "4000000000000000" + "0440A0", 2, 20},                  // a letter
      {head + "2000000000000000" + "00000", 3, 20},                   // fixed and short
      {head + "2000000000000000" + "0000000", 128, 26},               // one byte more
      {head + "0200000000000000" + "1301120000", 7, 20},              // month 13
      {head + "0200000000000000" + "0713240000", 7, 20},              // hour 24
      {head + "0008000000000000" + "0230", 13, 20},                   // 30 February
      {head + "0008000000000000" + "0200", 13, 20},                   // day 0
      {head + "0004000000000000" + "3000", 14, 20},                   // month 0
      {head + "0000001000000000" + "X00000000", 28, 20},              // neither C nor D
      {head + "0000000020000000" + "0312", 35, 20},                   // track shorter than said
      {head + "0000000000800000" +
           "TERM\x01"
           "001",
       41, 20},                                                  // control character
      {head + "0000000000001000" + "00112233445566XX", 52, 20},  // not hexadecimal
  };
  for (const auto& refusal : refusals) {
    CAPTURE(refusal.bytes);
    const auto parsed = parse(refusal.bytes);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().field == refusal.field);
    CHECK(parsed.error().offset == refusal.offset);
  }
}

TEST_CASE("host.iso8583 builds requests as an authorizer sends them") {
  using namespace std::chrono;
  CHECK(luhn_check_digit("7992739871") == '3');
  CHECK(test_account_number(0) == "4000000000000002");
  CHECK(test_account_number(1'234'567'890).starts_with("400000234567890"));

  const sys_seconds time = sys_days(2026y / March / 1) + 23h + 59min + 58s;
  AuthorizationRequest request;
  const std::string account = test_account_number(123456);
  request.account_number = account;
  request.amount_minor_units = 1999;
  request.trace_number = 7;
  request.time = time;
  request.terminal = "T1";
  const std::string bytes = build_authorization(request);
  const auto message = parse(bytes);
  REQUIRE(message.has_value());
  CHECK(message->type == "0100");
  CHECK(message->field(2) == account);
  CHECK(message->field(4) == "000000001999");
  CHECK(message->field(7) == "0301235958");
  CHECK(message->field(11) == "000007");
  CHECK(message->field(12) == "235958");
  CHECK(message->field(13) == "0301");
  CHECK(message->field(37) == "606023000007");  // 2026, day 60
  CHECK(message->field(41) == "T1      ");
  CHECK(message->field(49) == "978");
  CHECK(bytes.substr(66, 6) == "000007");  // as promised to those who match by position

  request.type = "0400";
  const std::string original = "0100000007030123595800000400123" + std::string(11, '0');
  request.original_data = original;
  const std::string reversal_bytes = build_authorization(request);
  const auto reversal = parse(reversal_bytes);
  REQUIRE(reversal.has_value());
  CHECK(reversal->type == "0400");
  CHECK(reversal->field(90) == original);

  const std::string sign_on = build_network_management("001", 12, time);
  CHECK(sign_on == "0800822000000000000004000000000000000301235958000012001");
}

namespace {

struct Sample {
  const char* file;
  const char* type;    // empty: must be refused
  unsigned field;      // of the refusal
  const char* reason;  // of the refusal
};

// What a strict reader of ISO 8583:1987 in ASCII makes of each file. Those named "missing" and "unexpected"
// break a network's rules about which fields there are, not the layout.
constexpr Sample kSamples[] = {
    {"error_message.dat", "", 55, "the message ends within the field"},
    {"financial_transaction_message.dat", "0200", 0, ""},
    {"financial_transaction_message_response.dat", "0210", 0, ""},
    {"iso_reversal_message.dat", "0400", 0, ""},
    {"iso_reversal_message_advice.dat", "0420", 0, ""},
    {"iso_reversal_message_advice_missing_field.dat", "0420", 0, ""},
    {"iso_reversal_message_advice_unexpected_field.dat", "0420", 0, ""},
    {"iso_reversal_message_error_date.dat", "", 13, "not a date MMDD"},
    {"iso_reversal_message_response.dat", "0410", 0, ""},
    {"iso_reversal_repeat_message.dat", "0401", 0, ""},
    {"iso_reversal_repeat_message_response.dat", "0410", 0, ""},
    {"message_with_character_ebcdic_encoding.dat", "", 42, "not printable ASCII"},
    {"message_with_error_indicate_numeric.dat", "", 28, "the message ends within the field"},
    {"message_with_hex_bcd.dat", "", 48, "the length is not digits"},
    {"message_with_hex_length.dat", "", 32, "the length is not digits"},
    {"message_with_hex_rbcd.dat", "", 48, "the length is not digits"},
    {"message_with_indicate_numeric.dat", "", 28, "the message ends within the field"},
    {"message_with_number_bcd_encoding.dat", "", 7, "not a date and time MMDDhhmmss"},
    {"network_management_message.dat", "0800", 0, ""},
    {"network_management_message_response.dat", "0810", 0, ""},
    {"network_management_message_with_error_track.dat", "", 35, "not track characters"},
    {"network_management_message_with_track.dat", "", 35, "not track characters"},  // EBCDIC as well
};

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("host.iso8583 parses or refuses the sample messages for the right reason") {
  const std::filesystem::path folder = std::filesystem::path(TLSMUX_ISO8583_SAMPLES) / "messages";
  if (!std::filesystem::exists(folder)) {
    tlsmux::test::skip("the sample messages are not there: " + folder.string());
    return;
  }
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.file);
    const std::string bytes = contents(folder / sample.file);
    REQUIRE_FALSE(bytes.empty());
    const auto message = parse(bytes);
    if (std::string_view(sample.type).empty()) {
      REQUIRE_FALSE(message.has_value());
      CHECK(message.error().field == sample.field);
      CHECK(std::string_view(message.error().reason) == sample.reason);
      continue;
    }
    const std::string refusal = message.has_value() ? "" : to_string(message.error());
    REQUIRE(refusal == "");
    CHECK(message->type == sample.type);
    std::string rebuilt;
    REQUIRE(build(*message, rebuilt).has_value());
    CHECK(rebuilt == bytes);
  }
  const auto files = std::distance(std::filesystem::directory_iterator(folder), {});
  CHECK(static_cast<std::size_t>(files) == std::size(kSamples));
}
