#pragma once

// Every setting, once: its key, its kind of value and its range. What reads, checks or lists settings is a
// visitor of these functions, so that a new setting is a field in config.hpp and a line here (and in the
// schema and README.md, which a test compares with this list).
//
// A visitor has these members:
//   number(key, field, Range)                                  a whole number; a fourth argument tells the
//   Presence flag(key, field)                                           true or false word(key, field) an
//   enumeration, by words.hpp text(key, field, TextKind, Presence) texts(key, fields, TextKind, Presence,
//   Range of count) hex(key, bytes, Range of count)                            a run of bytes in hexadecimal
//   digits preset(key, settings)                                      the short form of the settings being
//   described, as a start object(key, settings)                                      described by the
//   function for its type objects(key, settings, Range of count)                     a list of such; required
//   ignored(key)                                               allowed, means nothing

#include "config/config.hpp"
#include "config/limits.hpp"
#include "config/value_rules.hpp"

namespace tlsmux::config {

inline constexpr Range kTimeoutMs{1, kTimeoutMsMax};

template <class Visitor>
void describe(Visitor& visit, LogSettings& log) {
  visit.word("level", log.level);
  visit.text("file", log.file, TextKind::path, Presence::may_be_empty);
}

template <class Visitor>
void describe(Visitor& visit, EngineSettings& engine) {
  visit.text("control_socket", engine.control_socket, TextKind::socket_path, Presence::has_default);
  visit.text("user", engine.user, TextKind::user, Presence::may_be_empty);
  visit.number("worker_threads", engine.worker_threads, Range{1, kWorkerThreadsMax});
  visit.number("in_flight_max", engine.in_flight_max, Range{1, kRequestsInFlightMax});
  visit.number("drain_timeout_ms", engine.drain_timeout_ms, kTimeoutMs);
  visit.object("log", engine.log);
}

template <class Visitor>
void describe(Visitor& visit, MemorySettings& memory) {
  visit.number("clients_max", memory.clients_max, Range{1, kClientsPerGroupMax});
  visit.number("channels_per_client", memory.channels_per_client, Range{1, kChannelsPerClientMax});
  visit.number("slots_per_channel", memory.slots_per_channel, Range{kSlotsPerChannelMin, kSlotsPerChannelMax});
  visit.number("slot_bytes", memory.slot_bytes, Range{kSlotBytesMin, kSlotBytesMax});
}

template <class Visitor>
void describe(Visitor& visit, GroupSettings& group) {
  constexpr Range kAccounts{0, kAccountsPerGroupMax};
  visit.text("name", group.name, TextKind::name, Presence::required);
  visit.texts("users", group.users, TextKind::user, Presence::has_default, kAccounts);
  visit.texts("unix_groups", group.unix_groups, TextKind::unix_group, Presence::has_default, kAccounts);
  visit.object("memory", group.memory);
}

template <class Visitor>
void describe(Visitor& visit, EndpointSettings& endpoint) {
  visit.text("host", endpoint.host, TextKind::host, Presence::required);
  visit.number("port", endpoint.port, Range{1, 65535}, Presence::required);
}

template <class Visitor>
void describe(Visitor& visit, TlsSettings& tls) {
  visit.flag("verify_peer", tls.verify_peer);
  visit.text("server_name", tls.server_name, TextKind::host, Presence::may_be_empty);
  visit.text("ca_file", tls.ca_file, TextKind::path, Presence::may_be_empty);
  visit.text("ca_directory", tls.ca_directory, TextKind::path, Presence::may_be_empty);
  visit.text("certificate_file", tls.certificate_file, TextKind::path, Presence::may_be_empty);
  visit.text("key_file", tls.key_file, TextKind::path, Presence::may_be_empty);
  visit.word("version_min", tls.version_min);
  visit.word("version_max", tls.version_max);
}

template <class Visitor>
void describe(Visitor& visit, FramingSettings& framing) {
  visit.preset("preset", framing);
  visit.word("length_encoding", framing.length_encoding);
  visit.number("length_bytes", framing.length_bytes, Range{1, kLengthHeaderBytesMax});
  visit.flag("length_includes_itself", framing.length_includes_itself);
  visit.number("message_bytes_max", framing.message_bytes_max, Range{1, kSlotBytesMax});
}

template <class Visitor>
void describe(Visitor& visit, CorrelationSettings& correlation) {
  visit.word("kind", correlation.kind);
  visit.number("offset", correlation.offset, Range{0, kKeyPrefixBytesMax - 1});
  visit.number("length", correlation.length, Range{0, kCorrelationKeyBytesMax});
  visit.hex("mask", correlation.mask, Range{0, kCorrelationKeyBytesMax});
}

template <class Visitor>
void describe(Visitor& visit, TimeoutSettings& timeouts) {
  visit.number("connect_ms", timeouts.connect_ms, kTimeoutMs);
  visit.number("handshake_ms", timeouts.handshake_ms, kTimeoutMs);
  visit.number("request_ms", timeouts.request_ms, kTimeoutMs);
  visit.number("late_answer_ms", timeouts.late_answer_ms, kTimeoutMs);
  visit.number("write_stall_ms", timeouts.write_stall_ms, kTimeoutMs);
}

template <class Visitor>
void describe(Visitor& visit, BackoffSettings& backoff) {
  visit.number("initial_ms", backoff.initial_ms, kTimeoutMs);
  visit.number("max_ms", backoff.max_ms, kTimeoutMs);
  visit.number("jitter_percent", backoff.jitter_percent, Range{0, 100});
}

template <class Visitor>
void describe(Visitor& visit, UpstreamSettings& upstream) {
  visit.text("name", upstream.name, TextKind::name, Presence::required);
  visit.texts("groups", upstream.groups, TextKind::name, Presence::required, Range{1, kGroupsMax});
  visit.objects("endpoints", upstream.endpoints, Range{1, kEndpointsPerUpstreamMax});
  visit.number("sessions", upstream.sessions, Range{1, kSessionsPerUpstreamMax});
  visit.number("in_flight_max", upstream.in_flight_max, Range{1, kSessionInFlightMax});
  visit.number("queue_max", upstream.queue_max, Range{1, kQueueMax});
  visit.object("tls", upstream.tls);
  visit.object("framing", upstream.framing);
  visit.object("correlation", upstream.correlation);
  visit.object("timeouts", upstream.timeouts);
  visit.object("backoff", upstream.backoff);
}

template <class Visitor>
void describe(Visitor& visit, Config& config) {
  visit.ignored("$schema");  // for editors
  visit.object("engine", config.engine);
  visit.objects("groups", config.groups, Range{1, kGroupsMax});
  visit.objects("upstreams", config.upstreams, Range{1, kUpstreamsMax});
}

}  // namespace tlsmux::config
