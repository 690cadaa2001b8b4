// What `tlsmux check` says of ISO 8583 settings.
#include "config/check/check_iso8583.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "engine/message/correlation.hpp"
#include "engine/message/iso8583/auto_reply.hpp"
#include "engine/message/iso8583/message_template.hpp"
#include "tests/message/iso8583_support.hpp"

using namespace tlsmux;

namespace {

config::UpstreamSettings upstream() {
  config::UpstreamSettings settings;
  settings.correlation.kind = config::CorrelationKind::iso8583;
  settings.correlation.iso8583 = test::settings_with("1987_ascii");
  settings.sign_on.messages = {
      {.mti = "0800", .fields = {{11, "{trace_number}"}, {41, "TERM1"}, {70, "001"}}, .expect = {{39, "00"}}}};
  settings.heartbeat.message = {
      .mti = "0800", .fields = {{11, "{trace_number}"}, {41, "TERM1"}, {70, "301"}}, .expect = {}};
  settings.auto_replies = {{.mti = "0800", .match = {{70, "301"}}, .set = {}}};
  return settings;
}

std::vector<std::string> findings_of(const config::UpstreamSettings& settings) {
  config::Findings findings({});
  config::check_iso8583(settings, "/u", findings);
  std::vector<std::string> texts;
  for (const auto& error : std::move(findings).take()) texts.push_back(error.pointer + ": " + error.message);
  return texts;
}

struct Case {
  std::function<void(config::UpstreamSettings&)> change;
  std::string_view finding;
};

void check_cases(const std::vector<Case>& cases) {
  for (const auto& one : cases) {
    CAPTURE(one.finding);
    auto settings = upstream();
    one.change(settings);
    const auto findings = findings_of(settings);
    REQUIRE(findings.size() == 1);
    CHECK_MESSAGE(findings[0].starts_with(one.finding), findings[0]);
  }
}

config::Iso8583Settings& iso8583(config::UpstreamSettings& settings) { return settings.correlation.iso8583; }

}  // namespace

TEST_CASE("iso8583.settings that are right have no findings, and can be compiled") {
  const auto settings = upstream();
  CHECK(findings_of(settings).empty());
  const auto& rules = settings.correlation.iso8583;
  CHECK(engine::message::iso8583::MessageTemplate(rules, settings.heartbeat.message).message_bytes() == 53);
  CHECK_FALSE(engine::message::Correlation(settings.correlation).in_order());
  CHECK_FALSE(engine::message::iso8583::AutoReply(rules, settings.auto_replies[0]).matches({}));
  CHECK(findings_of({}).empty());
}

TEST_CASE("iso8583.what is wrong with a key is found before any message comes") {
  using Settings = config::UpstreamSettings;
  check_cases({
      {[](Settings& s) {
         iso8583(s).spec.clear();
         iso8583(s).fields.reset();
       },
       "/u/correlation/iso8583/spec: is missing: give \"1987_ascii\""},
      {[](Settings& s) { iso8583(s).key_fields = {41, 11, 65}; },
       "/u/correlation/iso8583/key_fields/2: field 65 is a bitmap"},
      {[](Settings& s) {
         iso8583(s).key_rules = {{.mti = {}, .processing_code = {}, .fields = {130}}};
         s.sign_on = {};
         s.heartbeat = {};
       },
       "/u/correlation/iso8583/key_rules/0/fields/0: field 130 is not in the field specification"},
      {[](Settings& s) { iso8583(s).key_fields = {41, 41, 11}; },
       "/u/correlation/iso8583/key_fields/1: field 41 stands in this list already"},
      {[](Settings& s) { iso8583(s).key_rules = {{.mti = "020", .processing_code = {}, .fields = {48}}}; },
       "/u/correlation/iso8583/key_rules/0/fields: a key of these fields can be 1005 bytes long"},
      {[](Settings& s) { iso8583(s).key_rules = {{.mti = "021", .processing_code = {}, .fields = {11}}}; },
       "/u/correlation/iso8583/key_rules/0/mti: no message has this type after mti_map"},
      {[](Settings& s) { iso8583(s).key_padding = {{.field = 1, .left = {}, .right = {}}}; },
       "/u/correlation/iso8583/key_padding/0/field: field 1 is a bitmap"},
      {[](Settings& s) {
         iso8583(s).key_padding = {{.field = 41, .left = {}, .right = {}}, {.field = 41, .left = {}, .right = {}}};
       },
       "/u/correlation/iso8583/key_padding/1/field: field 41 has a padding already"},
      {[](Settings& s) { iso8583(s).key_header_length = 2; },
       "/u/correlation/iso8583/key_header_length: key_header_offset + key_header_length is 2, but header_bytes is 0"},
      {[](Settings& s) { iso8583(s).key_header_offset = 2; },
       "/u/correlation/iso8583/key_header_offset: means nothing without key_header_length"},
      {[](Settings& s) { iso8583(s).header = {1, 2}; },
       "/u/correlation/iso8583/header: holds 2 bytes, but header_bytes is 0"},
      {[](Settings& s) {
         iso8583(s).header_format = config::HeaderFormat::base1;
         iso8583(s).header = {3, 0};
       },
       "/u/correlation/iso8583/header: must be one BASE I header"},
      {[](Settings& s) {
         iso8583(s).header_format = config::HeaderFormat::base1;
         iso8583(s).header = {2, 0};
         iso8583(s).header_bytes = 2;
       },
       "/u/correlation/iso8583/header_bytes: means nothing where header_format is \"base1\""},
  });
  auto longest = upstream();
  longest.sign_on = {};
  longest.heartbeat = {};
  iso8583(longest).key_fields = {2, 37, 41, 11};  // 4, and 2 + 19, 2 + 12, 2 + 8, 2 + 6
  CHECK(findings_of(longest).empty());
  iso8583(longest).header_bytes = 8;
  iso8583(longest).key_header_length = 8;
  CHECK(findings_of(longest).size() == 1);
}

TEST_CASE("iso8583.what is wrong with the engine's own messages is found with field and reason") {
  using Settings = config::UpstreamSettings;
  const auto field = [](std::uint32_t number, const std::string& value) {
    return [number, value](Settings& s) { s.sign_on.messages[0].fields[number] = value; };
  };
  check_cases({
      {field(65, "1"), "/u/sign_on/messages/0/fields/65: field 65 is not in the field specification"},
      {field(41, "TERMINAL1"), "/u/sign_on/messages/0/fields/41: field 41 has 8 characters, the value has 9"},
      {field(44, std::string(26, 'x')),
       "/u/sign_on/messages/0/fields/44: field 44 has 25 characters at the most, the value has 26"},
      {field(52, "123"),
       "/u/sign_on/messages/0/fields/52: field 52 is binary and must be hexadecimal digits, two for each byte"},
      {field(52, "123x"),
       "/u/sign_on/messages/0/fields/52: field 52 is binary and must be hexadecimal digits; character 4"},
      {field(52, "{counter}"), "/u/sign_on/messages/0/fields/52: field 52 is binary: there are no placeholders"},
      {field(52, "0102"), "/u/sign_on/messages/0/fields/52: field 52 has 8 bytes and no padding in its specification"},
      {field(48, "a\tb"), "/u/sign_on/messages/0/fields/48: field 48 must be printable ASCII characters; character 2"},
      {field(48, "{date}"), "/u/sign_on/messages/0/fields/48: field 48 has an unknown placeholder \"date\""},
      {field(48, "{counter"), "/u/sign_on/messages/0/fields/48: field 48 has a '{' without its '}'"},
      {field(13, "{date_time}"), "/u/sign_on/messages/0/fields/13: field 13 has 4 characters, the value has 10"},
      {[](Settings& s) {
         iso8583(s) = test::settings_with("1987_binary");
         s.heartbeat.message.fields[70] = "30a";
       },
       "/u/heartbeat/message/fields/70: field 70 is BCD and must be decimal digits; character 3 is none"},
      {[](Settings& s) { s.sign_on.messages[0].expect[39] = "000"; },
       "/u/sign_on/messages/0/expect/39: field 39 has 2 characters, the value has 3"},
      {[](Settings& s) { s.sign_on.messages[0].expect[1] = "0"; },
       "/u/sign_on/messages/0/expect/1: field 1 is not a field"},
      {[](Settings& s) { s.sign_on.messages[0].mti.clear(); },
       "/u/sign_on/messages/0/mti: must be an MTI, four digits, is missing"},
      {[](Settings& s) { s.sign_on.messages[0].mti = "0810"; }, "/u/sign_on/messages/0/mti: is the type of a response"},
      {[](Settings& s) { s.sign_on.messages[0].fields.erase(41); }, "/u/sign_on/messages/0/fields: lacks field 41"},
      {[](Settings& s) {
         s.sign_off.messages = {s.heartbeat.message};
         iso8583(s).key_rules = {{.mti = "08", .processing_code = {}, .fields = {11}}};
         s.sign_off.messages[0].mti = "0400";
         s.sign_off.messages[0].fields.erase(41);
       },
       "/u/sign_off/messages/0/fields: lacks field 41"},
      {[](Settings& s) {
         iso8583(s).header_bytes = 4;
         s.sign_on = {};
       },
       "/u/correlation/iso8583/header: is missing: /u/heartbeat/message is a message"},
      {[](Settings& s) {
         s.framing.message_bytes_max = 52;
         s.sign_on = {};
       },
       "/u/heartbeat/message: is 53 bytes long, but no message is longer than 52 bytes"},
      {[](Settings& s) {
         s.trace_numbers.last = 1'000'000;
         s.sign_on = {};
       },
       "/u/heartbeat/message/fields/11: has 6 digits for the trace number, which can have 7"},
  });
  auto skips = upstream();
  iso8583(skips).absent_key_field = config::AbsentField::skip;
  skips.sign_on.messages[0].fields.erase(41);
  CHECK(findings_of(skips).empty());
}

TEST_CASE("iso8583.what is wrong with automatic replies is found") {
  using Settings = config::UpstreamSettings;
  check_cases({
      {[](Settings& s) { s.auto_replies[0].mti = "0810"; }, "/u/auto_replies/0/mti: has no response"},
      {[](Settings& s) { s.auto_replies[0].mti = "0880"; }, "/u/auto_replies/0/mti: has no response"},
      {[](Settings& s) { s.auto_replies[0].match[70] = "3011"; },
       "/u/auto_replies/0/match/70: field 70 has 3 characters"},
      {[](Settings& s) { s.auto_replies[0].set[11] = "{trace_number}"; },
       "/u/auto_replies/0/set/11: field 11 cannot hold placeholders"},
      {[](Settings& s) { s.auto_replies[0].set[1] = ""; }, "/u/auto_replies/0/set/1: field 1 is not a field"},
  });
  auto settings = upstream();
  iso8583(settings) = test::settings_with("1993_ascii");
  settings.sign_on = {};
  CHECK(findings_of(settings).empty());  // "00" becomes "000" by padding
}

TEST_CASE("iso8583.messages need a correlation that has a field specification") {
  auto settings = upstream();
  settings.correlation = {};
  const auto findings = findings_of(settings);
  REQUIRE(findings.size() == 3);
  CHECK(findings[0].starts_with("/u/sign_on/messages/0: needs the field specification"));
  CHECK(findings[1].starts_with("/u/heartbeat/message: needs"));
  CHECK(findings[2].starts_with("/u/auto_replies: needs"));
}
