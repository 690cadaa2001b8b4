#pragma once

// Every setting, once: its key, its kind of value and its range. What reads, checks, lists or compares settings is a
// visitor of these functions, so that a new setting is a field in config.hpp and a line here (and in the schema and
// README.md, which a test compares with this list).
//
// A visitor has these members:
//   number(key, field, Range)                         a whole number; a fourth argument tells the Presence
//   signed_number(key, field, SignedRange)
//   numbers(key, fields, Presence, Range, Range of count)
//   flag(key, field)                                  true or false
//   word(key, field)                                  an enumeration, by words.hpp
//   text(key, field, TextKind, Presence)
//   texts(key, fields, TextKind, Presence, Range of count)
//   hex(key, bytes, Range of count)                   a run of bytes in hexadecimal digits
//   field_values(key, values)                         texts by the numbers of a message's fields
//   preset(key, settings)                             the short form of the settings being described, as a start
//   object(key, settings)                             described by the function for its type
//   objects(key, settings, Presence, Range of count)  a list of such
//   implied(field, value)                             what a field described later is where its key is not given
//   ignored(key)                                      allowed, means nothing

#include "config/check/value_rules.hpp"
#include "config/config.hpp"
#include "config/iso8583/describe_iso8583.hpp"
#include "config/limits.hpp"

namespace tlsmux::config {

inline constexpr Range kTimeoutMs{1, kTimeoutMsMax};
inline constexpr Range kTimeoutMsOrNever{0, kTimeoutMsMax};

template <class Visitor>
void describe(Visitor& visit, LogSettings& log) {
  visit.word("level", log.level);
  visit.text("file", log.file, TextKind::path, Presence::may_be_empty);
}

template <class Visitor>
void describe(Visitor& visit, PortGuardSettings& guard) {
  visit.text("bpf_directory", guard.bpf_directory, TextKind::path, Presence::has_default);
  visit.text("cgroup", guard.cgroup, TextKind::path, Presence::may_be_empty);
}

template <class Visitor>
void describe(Visitor& visit, EngineSettings& engine) {
  visit.text("control_socket", engine.control_socket, TextKind::socket_path, Presence::has_default);
  visit.text("state_directory", engine.state_directory, TextKind::path, Presence::may_be_empty);
  visit.text("user", engine.user, TextKind::user, Presence::may_be_empty);
  visit.number("shards", engine.shards, Range{1, kShardsMax});
  visit.numbers("cpus", engine.cpus, Presence::has_default, Range{0, kCpuNumberMax}, Range{0, kShardsMax});
  visit.word("idle_strategy", engine.idle_strategy);
  visit.number("worker_threads", engine.worker_threads, Range{1, kWorkerThreadsMax});
  visit.number("in_flight_max", engine.in_flight_max, Range{1, kRequestsInFlightMax});
  visit.number("drain_timeout_ms", engine.drain_timeout_ms, kTimeoutMs);
  visit.number("port_sweep_ms", engine.port_sweep_ms, Range{kPortSweepMsMin, kPortSweepMsMax});
  visit.object("port_guard", engine.port_guard);
  visit.word("confinement", engine.confinement);
  visit.object("log", engine.log);
}

template <class Visitor>
void describe(Visitor& visit, MemorySettings& memory) {
  visit.number("clients_max", memory.clients_max, Range{1, kClientsPerGroupMax});
  visit.number("channels_per_client", memory.channels_per_client, Range{1, kChannelsPerClientMax});
  visit.number("slots_per_channel", memory.slots_per_channel, Range{kSlotsPerChannelMin, kSlotsPerChannelMax});
  visit.number("slot_bytes", memory.slot_bytes, Range{kSlotBytesMin, kSlotBytesMax});
  visit.flag("wipe_slots", memory.wipe_slots);
}

template <class Visitor>
void describe(Visitor& visit, OrphanSettings& orphans) {
  visit.number("count_max", orphans.count_max, Range{0, kOrphansMax});
  visit.number("age_max_s", orphans.age_max_s, Range{1, kOrphanAgeSMax});
}

template <class Visitor>
void describe(Visitor& visit, StaticPortSettings& port) {
  visit.number("port", port.port, Range{1, 65535}, Presence::required);
  visit.word("protocol", port.protocol);
  visit.text("label", port.label, TextKind::port_label, Presence::required);
  visit.text("program", port.program, TextKind::program, Presence::may_be_empty);
}

template <class Visitor>
void describe(Visitor& visit, DynamicPortSettings& range) {
  visit.number("from", range.from, Range{1, 65535}, Presence::required);
  visit.number("to", range.to, Range{1, 65535}, Presence::required);
  visit.word("protocols", range.protocols);
}

template <class Visitor>
void describe(Visitor& visit, PortEnforcementSettings& enforcement) {
  visit.flag("reservation", enforcement.reservation);
  visit.flag("holders", enforcement.holders);
  visit.flag("guard", enforcement.guard);
}

template <class Visitor>
void describe(Visitor& visit, PortSettings& ports) {
  visit.objects("static", ports.static_ports, Presence::has_default, Range{0, kStaticPortsPerGroupMax});
  visit.objects("dynamic", ports.dynamic, Presence::has_default, Range{0, kPortRangesPerGroupMax});
  visit.number("per_process_max", ports.per_process_max, Range{0, kPortsPerGroupMax});
  visit.number("free_min", ports.free_min, Range{0, kPortsPerGroupMax});
  visit.number("leases_per_process", ports.leases_per_process, Range{0, kPortLeasesMax});
  visit.number("reuse_delay_ms", ports.reuse_delay_ms, Range{0, kReuseDelayMsMax});
  visit.object("enforcement", ports.enforcement);
}

template <class Visitor>
void describe(Visitor& visit, GroupSettings& group) {
  constexpr Range kAccounts{0, kAccountsPerGroupMax};
  visit.text("name", group.name, TextKind::name, Presence::required);
  visit.texts("users", group.users, TextKind::user, Presence::has_default, kAccounts);
  visit.texts("unix_groups", group.unix_groups, TextKind::unix_group, Presence::has_default, kAccounts);
  visit.object("memory", group.memory);
  visit.object("orphans", group.orphans);
  visit.object("ports", group.ports);
}

template <class Visitor>
void describe(Visitor& visit, EndpointSettings& endpoint) {
  visit.text("host", endpoint.host, TextKind::host, Presence::required);
  visit.number("port", endpoint.port, Range{1, 65535}, Presence::required);
  visit.number("priority", endpoint.priority, Range{0, kEndpointPriorityMax});
  visit.number("weight", endpoint.weight, Range{1, kEndpointWeightMax});
}

template <class Visitor>
void describe(Visitor& visit, TlsSettings& tls) {
  visit.flag("verify_peer", tls.verify_peer);
  visit.text("server_name", tls.server_name, TextKind::host, Presence::may_be_empty);
  visit.text("ca_file", tls.ca_file, TextKind::path, Presence::may_be_empty);
  visit.text("ca_directory", tls.ca_directory, TextKind::path, Presence::may_be_empty);
  visit.text("certificate_file", tls.certificate_file, TextKind::path, Presence::may_be_empty);
  visit.text("key_file", tls.key_file, TextKind::path, Presence::may_be_empty);
  visit.text("passphrase_file", tls.passphrase_file, TextKind::path, Presence::may_be_empty);
  visit.text("crl_file", tls.crl_file, TextKind::path, Presence::may_be_empty);
  visit.texts("pins", tls.pins, TextKind::pin, Presence::has_default, Range{0, kPinsMax});
  visit.texts("alpn", tls.alpn, TextKind::alpn, Presence::has_default, Range{0, kAlpnMax});
  visit.texts("suites", tls.suites, TextKind::tls_name, Presence::has_default, Range{0, kSuitesMax});
  visit.texts("groups", tls.groups, TextKind::tls_name, Presence::has_default, Range{0, kKeyExchangeGroupsMax});
  visit.text("key_log_file", tls.key_log_file, TextKind::path, Presence::may_be_empty);
  visit.word("version_min", tls.version_min);
  visit.word("version_max", tls.version_max);
}

template <class Visitor>
void describe(Visitor& visit, FramingSettings& framing) {
  constexpr Range kPart{0, kFramingPartBytesMax};
  constexpr auto kAdjustMax = std::int64_t{kLengthAdjustMax};
  visit.preset("preset", framing);
  visit.word("kind", framing.kind);
  visit.word("length_encoding", framing.length_encoding);
  visit.number("length_bytes", framing.length_bytes, Range{1, kLengthHeaderBytesMax});
  visit.flag("length_includes_itself", framing.length_includes_itself);
  visit.signed_number("length_adjust", framing.length_adjust, SignedRange{-kAdjustMax, kAdjustMax});
  visit.hex("before_length", framing.before_length, kPart);
  visit.hex("after_length", framing.after_length, kPart);
  visit.hex("more_after_length", framing.more_after_length, kPart);
  visit.hex("control_mask", framing.control_mask, kPart);
  visit.hex("control_value", framing.control_value, kPart);
  visit.hex("header", framing.header, Range{0, kFramingHeaderBytesMax});
  visit.flag("header_swaps_addresses", framing.header_swaps_addresses);
  visit.hex("trailer", framing.trailer, kPart);
  visit.hex("start", framing.start, kPart);
  visit.hex("delimiter", framing.delimiter, kPart);
  visit.word("keep_alive", framing.keep_alive);
  visit.number("message_bytes_max", framing.message_bytes_max, Range{1, kSlotBytesMax});
}

template <class Visitor>
void describe(Visitor& visit, CorrelationSettings& correlation) {
  visit.word("kind", correlation.kind);
  visit.number("offset", correlation.offset, Range{0, kKeyPrefixBytesMax - 1});
  visit.number("length", correlation.length, Range{0, kCorrelationKeyBytesMax});
  visit.hex("mask", correlation.mask, Range{0, kCorrelationKeyBytesMax});
  visit.object("iso8583", correlation.iso8583);
}

template <class Visitor>
void describe(Visitor& visit, TimeoutSettings& timeouts) {
  visit.number("connect_ms", timeouts.connect_ms, kTimeoutMs);
  visit.number("handshake_ms", timeouts.handshake_ms, kTimeoutMs);
  visit.number("request_ms", timeouts.request_ms, kTimeoutMs);
  visit.number("late_answer_ms", timeouts.late_answer_ms, kTimeoutMs);
  visit.number("write_stall_ms", timeouts.write_stall_ms, kTimeoutMs);
  visit.number("sign_on_ms", timeouts.sign_on_ms, kTimeoutMs);
  visit.number("silence_ms", timeouts.silence_ms, kTimeoutMsOrNever);
  visit.number("session_idle_ms", timeouts.session_idle_ms, kTimeoutMs);
  visit.number("drain_ms", timeouts.drain_ms, kTimeoutMs);
}

template <class Visitor>
void describe(Visitor& visit, BackoffSettings& backoff) {
  visit.number("initial_ms", backoff.initial_ms, kTimeoutMs);
  visit.number("max_ms", backoff.max_ms, kTimeoutMs);
  visit.number("jitter_percent", backoff.jitter_percent, Range{0, 100});
}

template <class Visitor>
void describe(Visitor& visit, RotationSettings& rotation) {
  visit.number("age_max_s", rotation.age_max_s, Range{0, kRotationAgeSMax});
  visit.number("messages_max", rotation.messages_max, Range{0, kRotationMessagesMax});
  visit.number("certificate_margin_s", rotation.certificate_margin_s, Range{0, kRotationAgeSMax});
}

template <class Visitor>
void describe(Visitor& visit, TcpSettings& tcp) {
  visit.text("source_address", tcp.source_address, TextKind::address, Presence::may_be_empty);
  visit.text("source_ports", tcp.source_ports, TextKind::name, Presence::may_be_empty);
  visit.number("keepalive_idle_s", tcp.keepalive_idle_s, Range{1, kKeepaliveSMax});
  visit.number("keepalive_interval_s", tcp.keepalive_interval_s, Range{1, kKeepaliveSMax});
  visit.number("keepalive_count", tcp.keepalive_count, Range{1, kKeepaliveCountMax});
  visit.number("user_timeout_ms", tcp.user_timeout_ms, kTimeoutMsOrNever);
}

template <class Visitor>
void describe(Visitor& visit, TraceNumberSettings& trace_numbers) {
  visit.number("first", trace_numbers.first, Range{1, kTraceNumberMax});
  visit.number("last", trace_numbers.last, Range{1, kTraceNumberMax});
  visit.number("block", trace_numbers.block, Range{1, kTraceNumberBlockMax});
}

template <class Visitor>
void describe(Visitor& visit, StreamSettings& streams) {
  visit.word("kind", streams.kind);
  visit.word("order", streams.order);
  visit.word("reuse", streams.reuse);
  visit.number("open_max", streams.open_max, Range{1, kStreamsMax});
  visit.number("in_flight_max", streams.in_flight_max, Range{1, kSessionInFlightMax});
  visit.number("buffer_bytes", streams.buffer_bytes, Range{kStreamBufferBytesMin, kStreamBufferBytesMax});
  visit.number("wait_ms", streams.wait_ms, kTimeoutMs);
  visit.number("idle_max_ms", streams.idle_max_ms, kTimeoutMsOrNever);
}

template <class Visitor>
void describe(Visitor& visit, UpstreamSettings& upstream) {
  visit.text("name", upstream.name, TextKind::name, Presence::required);
  visit.texts("groups", upstream.groups, TextKind::name, Presence::required, Range{1, kGroupsMax});
  visit.objects("endpoints", upstream.endpoints, Presence::required, Range{1, kEndpointsPerUpstreamMax});
  visit.number("sessions", upstream.sessions, Range{0, kSessionsPerUpstreamMax});
  visit.number("sessions_max", upstream.sessions_max, Range{0, kSessionsPerUpstreamMax});
  visit.word("session_choice", upstream.session_choice);
  visit.number("handshakes_max", upstream.handshakes_max, Range{1, kSessionsPerUpstreamMax});
  visit.number("in_flight_max", upstream.in_flight_max, Range{1, kSessionInFlightMax});
  visit.number("queue_max", upstream.queue_max, Range{1, kQueueMax});
  visit.number("queue_max_of_client", upstream.queue_max_of_client, Range{0, kQueueMax});
  visit.number("queue_max_of_group", upstream.queue_max_of_group, Range{0, kQueueMax});
  visit.text("subscriber_group", upstream.subscriber_group, TextKind::name, Presence::may_be_empty);
  visit.object("tls", upstream.tls);
  visit.object("framing", upstream.framing);
  visit.object("correlation", upstream.correlation);
  visit.object("timeouts", upstream.timeouts);
  visit.object("backoff", upstream.backoff);
  visit.object("sign_on", upstream.sign_on);
  visit.object("sign_off", upstream.sign_off);
  visit.object("heartbeat", upstream.heartbeat);
  visit.objects("auto_replies", upstream.auto_replies, Presence::has_default, Range{0, kAutoRepliesMax});
  visit.object("rotation", upstream.rotation);
  visit.object("tcp", upstream.tcp);
  visit.object("trace_numbers", upstream.trace_numbers);
  if (!cuts_messages(upstream.framing.kind)) visit.implied(upstream.streams.kind, StreamKind::leased);
  visit.object("streams", upstream.streams);
}

template <class Visitor>
void describe(Visitor& visit, SslWrapperRule& rule) {
  visit.text("address", rule.address, TextKind::address_range, Presence::may_be_empty);
  visit.text("name", rule.name, TextKind::name_pattern, Presence::may_be_empty);
  visit.number("port", rule.port, Range{1, 65535});
  visit.text("upstream", rule.upstream, TextKind::name, Presence::required);
  visit.flag("create", rule.create);
  visit.flag("any_identity", rule.any_identity);
}

template <class Visitor>
void describe(Visitor& visit, SslWrapperSettings& wrapper) {
  visit.objects("rules", wrapper.rules, Presence::has_default, Range{0, kSslWrapperRulesMax});
  visit.number("listener_port", wrapper.listener_port, Range{0, 65535});
  visit.number("created_max", wrapper.created_max, Range{0, kUpstreamsMax});
}

template <class Visitor>
void describe(Visitor& visit, Config& config) {
  visit.ignored("$schema");  // for editors
  visit.object("engine", config.engine);
  visit.objects("groups", config.groups, Presence::required, Range{1, kGroupsMax});
  visit.objects("upstreams", config.upstreams, Presence::has_default, Range{0, kUpstreamsMax});
  visit.object("ssl_wrapper", config.ssl_wrapper);
}

}  // namespace tlsmux::config
