#include "config/check/check_iso8583_messages.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>

#include "config/iso8583/iso8583_message_plan.hpp"
#include "config/iso8583/iso8583_value.hpp"
#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"

namespace tlsmux::config {
namespace {

constexpr std::uint32_t kProcessingCodeField = 3;

bool is_given(const MessageSettings& message) {
  return !message.mti.empty() || !message.fields.empty() || !message.expect.empty();
}

// Calls `visit(message, pointer)` for each message that the engine sends by itself.
void for_each_message(const UpstreamSettings& upstream, const std::string& pointer,
                      const std::function<void(const MessageSettings&, const std::string&)>& visit) {
  const std::string sign_on = pointer_to(pointer_to(pointer, "sign_on"), "messages");
  const std::string sign_off = pointer_to(pointer_to(pointer, "sign_off"), "messages");
  for (std::size_t i = 0; i < upstream.sign_on.messages.size(); ++i) {
    visit(upstream.sign_on.messages[i], pointer_to(sign_on, i));
  }
  for (std::size_t i = 0; i < upstream.sign_off.messages.size(); ++i) {
    visit(upstream.sign_off.messages[i], pointer_to(sign_off, i));
  }
  if (is_given(upstream.heartbeat.message)) {
    visit(upstream.heartbeat.message, pointer_to(pointer_to(pointer, "heartbeat"), "message"));
  }
}

bool starts_with_mapped(const Iso8583Settings& settings, std::string_view mti, std::string_view start) {
  for (std::size_t i = 0; i < start.size(); ++i) {
    const char digit = i < 3 ? settings.mti_map[i][static_cast<std::size_t>(mti[i] - '0')] : mti[i];
    if (digit != start[i]) return false;
  }
  return true;
}

// The key fields of a message of the engine.
const std::vector<std::uint32_t>& key_fields_of(const Iso8583Settings& settings, const MessageSettings& message) {
  const auto code = message.fields.find(kProcessingCodeField);
  for (const KeyRule& rule : settings.key_rules) {
    if (!starts_with_mapped(settings, message.mti, rule.mti)) continue;
    const bool fits = code != message.fields.end() && code->second.starts_with(rule.processing_code);
    if (rule.processing_code.empty() || fits) return rule.fields;
  }
  return settings.key_fields;
}

// Its answer must be told from others, too.
void check_has_key(const Iso8583Settings& settings, const MessageSettings& message, const std::string& pointer,
                   Findings& findings) {
  const auto& key_fields = key_fields_of(settings, message);
  if (key_fields.empty()) return;
  const auto is_unknown = [&](std::uint32_t field) {
    return !is_data_field(field) || settings.fields->fields[field].encoding == FieldEncoding::none;
  };
  if (std::ranges::any_of(key_fields, is_unknown)) return;  // reported with the key
  const auto is_present = [&](std::uint32_t field) { return message.fields.contains(field); };
  const bool enough = settings.absent_key_field == AbsentField::error ? std::ranges::all_of(key_fields, is_present)
                                                                      : std::ranges::any_of(key_fields, is_present);
  if (enough) return;
  const auto missing = *std::ranges::find_if_not(key_fields, is_present);
  findings.add(pointer_to(pointer, "fields"),
               "lacks field " + std::to_string(missing) +
                   ", which is in the correlation key of this message; add it, or give this type a rule of its own in "
                   "correlation/iso8583/key_rules");
}

void check_expected(const Iso8583Spec& spec, const MessageSettings& message, const std::string& pointer,
                    Findings& findings) {
  for (const auto& [number, value] : message.expect) {
    const auto planned = plan_field(spec, number, value);
    if (planned) continue;
    findings.add(pointer_to(pointer_to(pointer, "expect"), std::size_t{number}),
                 "field " + std::to_string(number) + " " + planned.error().problem);
  }
}

// Digits that hold the largest trace number.
std::uint32_t digits_of(std::uint64_t number) { return static_cast<std::uint32_t>(std::to_string(number).size()); }

void check_plan(const UpstreamSettings& upstream, const MessagePlan& plan, const std::string& pointer,
                const std::string& upstream_pointer, Findings& findings) {
  const std::string message_bytes_max = pointer_to(pointer_to(upstream_pointer, "framing"), "message_bytes_max");
  if (plan.bytes.size() > upstream.framing.message_bytes_max) {
    findings.add(pointer,
                 "is " + std::to_string(plan.bytes.size()) + " bytes long, but no message is longer than " +
                     std::to_string(upstream.framing.message_bytes_max) + " bytes (" + message_bytes_max + ")",
                 {message_bytes_max});
  }
  const std::string last = pointer_to(pointer_to(upstream_pointer, "trace_numbers"), "last");
  for (const auto& digits : plan.placeholders) {
    if (digits.placeholder != Placeholder::trace_number) continue;
    if (digits.digits >= digits_of(upstream.trace_numbers.last)) continue;
    findings.add(pointer_to(pointer_to(pointer, "fields"), std::size_t{digits.field}),
                 "has " + std::to_string(digits.digits) + " digits for the trace number, which can have " +
                     std::to_string(digits_of(upstream.trace_numbers.last)) + " (" + last + ")",
                 {last});
  }
}

void check_header(const Iso8583Settings& settings, const std::string& pointer, const std::string& upstream_pointer,
                  Findings& findings) {
  const bool needed = settings.header_format == HeaderFormat::base1 || settings.header_bytes != 0;
  if (!needed || !settings.header.empty()) return;
  const std::string header = pointer_to(pointer_to(pointer_to(upstream_pointer, "correlation"), "iso8583"), "header");
  findings.add(header, "is missing: " + pointer + " is a message that the engine makes, and needs one in front of it");
}

void check_message(const UpstreamSettings& upstream, const MessageSettings& message, const std::string& pointer,
                   const std::string& upstream_pointer, Findings& findings) {
  const Iso8583Settings& settings = upstream.correlation.iso8583;
  const std::string mti = pointer_to(pointer, "mti");
  const auto plan = plan_message(settings, message);
  if (!plan && plan.error().field == 0) {
    findings.add(mti, plan.error().problem + (message.mti.empty() ? ", is missing" : ""));
    return;
  }
  if (settings.response_functions.find(message.mti[2]) != std::string::npos) {
    findings.add(mti, "is the type of a response (response_functions); the engine sends requests");
  }
  check_header(settings, pointer, upstream_pointer, findings);
  check_expected(*settings.fields, message, pointer, findings);
  check_has_key(settings, message, pointer, findings);
  if (plan) return check_plan(upstream, *plan, pointer, upstream_pointer, findings);
  findings.add(pointer_to(pointer_to(pointer, "fields"), std::size_t{plan.error().field}),
               "field " + std::to_string(plan.error().field) + " " + plan.error().problem);
}

void check_auto_reply(const Iso8583Settings& settings, const AutoReplySettings& reply, const std::string& pointer,
                      Findings& findings) {
  const std::string mti = pointer_to(pointer, "mti");
  if (!plan_mti(*settings.fields, reply.mti)) return;  // reported where each value is checked
  if (!response_mti(reply.mti)) {
    findings.add(mti,
                 "has no response: give the type of a request, whose third digit is 0, 2, 4 or 6, such as \"0800\"");
  }
  const auto check_values = [&](std::string_view key, const std::map<std::uint32_t, std::string>& values) {
    for (const auto& [number, value] : values) {
      if (value.empty() && key == "set" && is_data_field(number)) continue;  // leaves the field out
      const auto planned = plan_field(*settings.fields, number, value);
      if (planned) continue;
      findings.add(pointer_to(pointer_to(pointer, key), std::size_t{number}),
                   "field " + std::to_string(number) + " " + planned.error().problem);
    }
  };
  check_values("match", reply.match);
  check_values("set", reply.set);
  if (!reply.set.contains(kResponseCodeField) && !plan_field(*settings.fields, kResponseCodeField, kApproved)) {
    findings.add(pointer_to(pointer, "set"),
                 "lacks field 39: \"00\", which it is otherwise, does not fit the field specification; give its value, "
                 "or \"\" to leave it out");
  }
}

}  // namespace

void check_iso8583_messages(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  for_each_message(upstream, pointer, [&](const MessageSettings& message, const std::string& place) {
    check_message(upstream, message, place, pointer, findings);
  });
  for (std::size_t i = 0; i < upstream.auto_replies.size(); ++i) {
    check_auto_reply(upstream.correlation.iso8583, upstream.auto_replies[i],
                     pointer_to(pointer_to(pointer, "auto_replies"), i), findings);
  }
}

void check_no_iso8583_messages(const UpstreamSettings& upstream, const std::string& pointer, Findings& findings) {
  const std::string kind = pointer_to(pointer_to(pointer, "correlation"), "kind");
  const std::string problem =
      "needs the field specification of an upstream whose messages correlate by \"iso8583\" (" + kind + ")";
  for_each_message(upstream, pointer,
                   [&](const MessageSettings&, const std::string& place) { findings.add(place, problem, {kind}); });
  if (!upstream.auto_replies.empty()) findings.add(pointer_to(pointer, "auto_replies"), problem, {kind});
}

}  // namespace tlsmux::config
