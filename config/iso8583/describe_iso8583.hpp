#pragma once

// The part of describe.hpp for ISO 8583: how its messages are told apart, and those that the engine sends by itself.

#include "config/check/value_rules.hpp"
#include "config/config.hpp"
#include "config/limits.hpp"

namespace tlsmux::config {

inline constexpr Range kFieldNumber{kFieldNumberMin, kFieldNumberMax};

template <class Visitor>
void describe(Visitor& visit, KeyRule& rule) {
  visit.text("mti", rule.mti, TextKind::mti_start, Presence::may_be_empty);
  visit.text("processing_code", rule.processing_code, TextKind::processing_code_start, Presence::may_be_empty);
  visit.numbers("fields", rule.fields, Presence::required, kFieldNumber, Range{1, kKeyFieldsMax});
}

template <class Visitor>
void describe(Visitor& visit, KeyPadding& padding) {
  visit.number("field", padding.field, kFieldNumber, Presence::required);
  visit.hex("left", padding.left, Range{0, 1});
  visit.hex("right", padding.right, Range{0, 1});
}

template <class Visitor>
void describe(Visitor& visit, Iso8583Settings& iso8583) {
  visit.text("spec", iso8583.spec, TextKind::iso8583_spec, Presence::may_be_empty);
  visit.word("header_format", iso8583.header_format);
  visit.number("header_bytes", iso8583.header_bytes, Range{0, kMessageHeaderBytesMax});
  visit.hex("header", iso8583.header, Range{0, kMessageHeaderBytesMax});
  visit.numbers("key_fields", iso8583.key_fields, Presence::has_default, kFieldNumber, Range{1, kKeyFieldsMax});
  visit.objects("key_rules", iso8583.key_rules, Presence::has_default, Range{0, kKeyRulesMax});
  visit.objects("key_padding", iso8583.key_padding, Presence::has_default, Range{0, kKeyPaddingMax});
  visit.number("key_header_offset", iso8583.key_header_offset, Range{0, kMessageHeaderBytesMax});
  visit.number("key_header_length", iso8583.key_header_length, Range{0, kCorrelationKeyBytesMax});
  visit.word("absent_key_field", iso8583.absent_key_field);
  visit.texts("mti_map", iso8583.mti_map, TextKind::digit_map, Presence::has_default, Range{3, 3});
  visit.text("response_functions", iso8583.response_functions, TextKind::digit_set, Presence::has_default);
}

template <class Visitor>
void describe(Visitor& visit, MessageSettings& message) {
  visit.text("mti", message.mti, TextKind::mti, Presence::may_be_empty);
  visit.field_values("fields", message.fields);
  visit.field_values("expect", message.expect);
}

template <class Visitor>
void describe(Visitor& visit, SignOnSettings& sign_on) {
  visit.word("scope", sign_on.scope);
  visit.objects("messages", sign_on.messages, Presence::has_default, Range{0, kSignOnMessagesMax});
}

template <class Visitor>
void describe(Visitor& visit, SignOffSettings& sign_off) {
  visit.objects("messages", sign_off.messages, Presence::has_default, Range{0, kSignOnMessagesMax});
}

template <class Visitor>
void describe(Visitor& visit, HeartbeatSettings& heartbeat) {
  visit.number("idle_ms", heartbeat.idle_ms, Range{0, kTimeoutMsMax});
  visit.number("interval_min_ms", heartbeat.interval_min_ms, Range{0, kTimeoutMsMax});
  visit.number("answer_ms", heartbeat.answer_ms, Range{1, kTimeoutMsMax});
  visit.number("misses_max", heartbeat.misses_max, Range{1, kHeartbeatMissesMax});
  visit.flag("keep_alive", heartbeat.keep_alive);
  visit.object("message", heartbeat.message);
}

template <class Visitor>
void describe(Visitor& visit, AutoReplySettings& reply) {
  visit.text("mti", reply.mti, TextKind::mti, Presence::required);
  visit.field_values("match", reply.match);
  visit.field_values("set", reply.set);
}

}  // namespace tlsmux::config
