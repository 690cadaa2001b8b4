#pragma once

// The settings of an engine as plain values. `config_json` fills them, `config_check` judges them; everybody
// else only reads. A default here is the default of the JSON key with the same name.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/iso8583/iso8583_spec.hpp"

namespace tlsmux::config {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct LogSettings {
  LogLevel level = LogLevel::info;
  std::string file;  // empty: standard error
};

// What a data loop does when there is nothing to do: how long it looks again before it sleeps. See engine/shard/idle.hpp.
enum class IdleStrategy : std::uint8_t { latency, balanced, power };

// Where the guard of ports is put.
struct PortGuardSettings {
  std::string bpf_directory = "/sys/fs/bpf";  // a mounted bpffs; the guard lives in it, also without an engine
  std::string cgroup;                         // whose sockets are guarded; empty: all, by the root of cgroup version 2
};

// Whether the engine and its broker give up the system calls and files that they have no use for. Core dumps are forbidden
// with either. See engine/confinement/CONFINEMENT.md.
enum class Confinement : std::uint8_t { on, off };

struct EngineSettings {
  std::string control_socket = "/run/tlsmux/control.sock";
  std::string state_directory;      // what must survive restarts; empty: the folder of control_socket
  std::string user;                 // the engine runs as this user; empty: as whoever starts tlsmuxd
  std::uint32_t shards = 1;         // data loops; each has the sessions and channels of its own upstreams
  std::vector<std::uint32_t> cpus;  // the processor of each shard, in their order; empty: the kernel chooses
  IdleStrategy idle_strategy = IdleStrategy::balanced;
  std::uint32_t worker_threads = 2;         // for handshakes; of each shard
  std::uint32_t in_flight_max = 16384;      // requests held by the engine, over all clients
  std::uint32_t drain_timeout_ms = 10'000;  // how long SIGTERM waits for open requests
  std::uint32_t port_sweep_ms = 1'000;      // how often the kernel is asked which ports are held
  PortGuardSettings port_guard;
  Confinement confinement = Confinement::on;
  LogSettings log;
};

// What one client of the group gets is channels_per_client x slots_per_channel x slot_bytes, plus rings.
struct MemorySettings {
  std::uint32_t clients_max = 64;
  std::uint32_t channels_per_client = 4;
  std::uint32_t slots_per_channel = 64;  // two for each request in flight: one for it, one for its answer
  std::uint32_t slot_bytes = 4096;       // the largest message
  bool wipe_slots = false;               // a slot that nobody needs any more is overwritten with zeros
};

// Outcomes of requests whose process died, while nobody of the group has subscribed for them.
struct OrphanSettings {
  std::uint32_t count_max = 256;
  std::uint32_t age_max_s = 3600;
};

enum class PortProtocols : std::uint8_t { tcp, udp, both };

struct StaticPortSettings {
  std::uint16_t port = 0;
  PortProtocols protocol = PortProtocols::tcp;
  std::string label;    // by which applications ask for it
  std::string program;  // the only one that may have it, by its name as in /proc/PID/comm; empty: any of the group
};

// From `from` to `to`, both included.
struct DynamicPortSettings {
  std::uint16_t from = 0;
  std::uint16_t to = 0;
  PortProtocols protocols = PortProtocols::both;
};

// What keeps others off the group's ports, beyond the interface for applications.
struct PortEnforcementSettings {
  bool reservation = false;  // in net.ipv4.ip_local_reserved_ports: the kernel gives them to nobody by itself
  bool holders = false;      // a TCP socket that holds each port; for a group of one user, where there is no eBPF
  bool guard = false;        // eBPF: the kernel refuses strangers; needs `reservation`
};

struct PortSettings {
  std::vector<StaticPortSettings> static_ports;  // "static"
  std::vector<DynamicPortSettings> dynamic;
  std::uint32_t per_process_max = 0;     // dynamic ports of one process; 0: no limit
  std::uint32_t free_min = 0;            // of each protocol: so many are not leased to processes in advance
  std::uint32_t leases_per_process = 8;  // of each protocol, in advance, so that a claim needs no question; 0: none
  std::uint32_t reuse_delay_ms = 1'000;  // before a dynamic port goes to somebody else
  PortEnforcementSettings enforcement;
};

struct GroupSettings {
  std::string name;
  std::vector<std::string> users;        // names or numeric uids
  std::vector<std::string> unix_groups;  // names or numeric gids
  MemorySettings memory;
  OrphanSettings orphans = {};
  PortSettings ports = {};
};

// As in RFC 2782: of the endpoints that are healthy, those of the lowest priority are used, shared out by weight.
struct EndpointSettings {
  std::string host;  // name or literal address
  std::uint16_t port = 0;
  std::uint32_t priority = 0;
  std::uint32_t weight = 1;
};

enum class TlsVersion : std::uint8_t { tls_1_2, tls_1_3 };

struct TlsSettings {
  bool verify_peer = true;
  std::string server_name;  // SNI and the name to verify; empty: the endpoint's host
  std::string ca_file;
  std::string ca_directory;
  std::string certificate_file;  // of the client; needs key_file
  std::string key_file;
  std::string passphrase_file;      // of an encrypted key: its first line
  std::string crl_file;             // revocation lists of the CAs, PEM; then each CA of the chain needs one
  std::vector<std::string> pins;    // "sha256/BASE64" of acceptable host keys (SubjectPublicKeyInfo, RFC 7469)
  std::vector<std::string> alpn;    // offered, best first
  std::vector<std::string> suites;  // IANA names, best first; empty: all that are supported
  std::vector<std::string> groups;  // key exchange groups, best first; empty: all that are supported
  std::string key_log_file;         // for Wireshark; also needs TLSMUX_ALLOW_KEY_LOG=1 in the environment
  TlsVersion version_min = TlsVersion::tls_1_2;
  TlsVersion version_max = TlsVersion::tls_1_3;
};

// `http1` and `none` are for streams only: the engine knows where an HTTP/1.1 exchange ends, but cuts no messages.
enum class FramingKind : std::uint8_t { length, delimiter, http1, none };

constexpr bool cuts_messages(FramingKind kind) { return kind == FramingKind::length || kind == FramingKind::delimiter; }

enum class LengthEncoding : std::uint8_t { binary_be, binary_le, ascii, hex, bcd };
enum class KeepAlive : std::uint8_t { ignore, echo };

// What stands around a message on the wire. With `length`:
//
//   before_length | length | after_length | header | message | trailer
//
// where the length counts header, message and trailer, also itself if `length_includes_itself`, plus `length_adjust`.
// With `delimiter`:
//
//   start | header | message | trailer | delimiter
struct FramingSettings {
  FramingKind kind = FramingKind::length;
  LengthEncoding length_encoding = LengthEncoding::binary_be;
  std::uint32_t length_bytes = 2;  // on the wire: ASCII and hex have a digit in each, BCD two
  bool length_includes_itself = false;
  std::int32_t length_adjust = 0;
  std::vector<std::uint8_t> before_length = {};
  std::vector<std::uint8_t> after_length = {};
  std::vector<std::uint8_t> more_after_length = {};  // in its place where the message goes on in the next frame
  std::vector<std::uint8_t> control_mask = {};       // a frame whose after_length & control_mask is control_value is
  std::vector<std::uint8_t> control_value = {};      //   session control: counted, not delivered
  std::vector<std::uint8_t> header = {};             // such as a TPDU: put before each message, taken off each answer
  bool header_swaps_addresses = false;       // a reply to the host's request bears its TPDU, addresses exchanged
  std::vector<std::uint8_t> trailer = {};    // such as ETX
  std::vector<std::uint8_t> start = {};      // such as STX
  std::vector<std::uint8_t> delimiter = {};  // such as ETX, CR LF
  KeepAlive keep_alive = KeepAlive::ignore;  // what to do with a frame of length zero
  std::uint32_t message_bytes_max = 4096;
};

enum class CorrelationKind : std::uint8_t {
  fifo,     // answers come in the order of the requests
  bytes,    // a run of bytes, equal in request and answer, tells
  iso8583,  // fields of an ISO 8583 message tell
};

enum class HeaderFormat : std::uint8_t {
  fixed,  // `header_bytes` bytes
  base1,  // VISA BASE I: byte 0 is the length; a second one follows if byte 1 & 0x80
};

enum class AbsentField : std::uint8_t { error, skip };

// Which fields are the key of messages of some kinds. The first rule that fits is used.
struct KeyRule {
  std::string mti;              // the leading digits, after mti_map; empty: all
  std::string processing_code;  // the leading digits of field 3; empty: all
  std::vector<std::uint32_t> fields;
};

// Characters that do not count at the ends of a field's value in a key. Without a rule the field specification's own
// padding does not count.
struct KeyPadding {
  std::uint32_t field = 0;
  std::vector<std::uint8_t> left;  // one byte, or none
  std::vector<std::uint8_t> right;
};

// For CorrelationKind::iso8583. The header, if any, is part of the message as applications see it.
struct Iso8583Settings {
  std::string spec;  // "1987_ascii", "1987_binary", "1993_ascii", or the absolute path of a specification in JSON
  HeaderFormat header_format = HeaderFormat::fixed;
  std::uint32_t header_bytes = 0;
  std::vector<std::uint8_t> header;  // before messages that the engine itself makes; header_bytes long
  std::vector<std::uint32_t> key_fields = {41, 11};
  std::vector<KeyRule> key_rules;  // come before key_fields
  std::vector<KeyPadding> key_padding;
  std::uint32_t key_header_offset = 0;  // bytes of the header that belong to the key
  std::uint32_t key_header_length = 0;
  AbsentField absent_key_field = AbsentField::error;
  // What each of the first three digits of an MTI counts as in a key, so that request and answer have the same.
  std::vector<std::string> mti_map = {"0123456789", "0123456789", "0022446689"};
  std::string response_functions = "13579";   // third digits that make a message an answer
  std::shared_ptr<const Iso8583Spec> fields;  // what `spec` names, once loaded; null before
};

struct CorrelationSettings {
  CorrelationKind kind = CorrelationKind::fifo;
  std::uint32_t offset = 0;  // of the key in the message, for `bytes`
  std::uint32_t length = 0;
  std::vector<std::uint8_t> mask = {};  // ANDed with the key; empty: all ones; else `length` bytes
  Iso8583Settings iso8583 = {};
};

// A message that the engine sends by itself, built from the field specification. Values may hold placeholders:
// {trace_number}, {date_time} (MMDDhhmmss, UTC), {local_year} YY, {local_date} MMDD, {local_time} hhmmss, {counter}.
struct MessageSettings {
  std::string mti;
  std::map<std::uint32_t, std::string> fields;
  std::map<std::uint32_t, std::string> expect;  // values that the answer's fields must have
};

enum class SignOnScope : std::uint8_t { session, upstream };

struct SignOnSettings {
  SignOnScope scope = SignOnScope::session;
  std::vector<MessageSettings> messages = {};  // in their order, each after the answer to the one before
};

struct SignOffSettings {
  std::vector<MessageSettings> messages = {};
};

struct HeartbeatSettings {
  std::uint32_t idle_ms = 0;          // after so long without a message from the host; 0: no heartbeat
  std::uint32_t interval_min_ms = 0;  // never two within this time
  std::uint32_t answer_ms = 10'000;
  std::uint32_t misses_max = 3;  // in a row; then the session is given up
  bool keep_alive = false;       // a frame of length zero, echoed by the host, instead of `message`
  MessageSettings message;
};

// The answer to a request of the host that the engine gives by itself: the request's fields, the response MTI, `set`.
struct AutoReplySettings {
  std::string mti;
  std::map<std::uint32_t, std::string> match;  // values that the request's fields must have
  std::map<std::uint32_t, std::string> set;
};

// A session that has served for so long is replaced in good order. 0: never.
struct RotationSettings {
  std::uint32_t age_max_s = 0;
  std::uint64_t messages_max = 0;
  std::uint32_t certificate_margin_s = 86'400;  // before the host's certificate expires; 0: not
};

struct TcpSettings {
  std::string source_address;  // literal; empty: the kernel chooses
  std::string source_ports;    // the group from whose dynamic ports the source port is taken; empty: the kernel chooses
  std::uint32_t keepalive_idle_s = 60;
  std::uint32_t keepalive_interval_s = 10;
  std::uint32_t keepalive_count = 3;
  std::uint32_t user_timeout_ms = 30'000;  // RFC 5482; 0: the system's
};

struct TraceNumberSettings {
  std::uint32_t first = 1;
  std::uint32_t last = 999'999;
  std::uint32_t block = 64;  // so many at a time are leased to a channel
};

// What a stream to the upstream is. See engine/streams/STREAMS.md.
enum class StreamKind : std::uint8_t {
  messages,  // its messages go among everybody's
  leased,    // it has a session for itself; always so with framing http1 and none, and then there are no requests
};

// In which order a message stream gets its answers.
enum class StreamOrder : std::uint8_t { as_answered, as_asked };

// When a leased session may be another stream's.
enum class StreamReuse : std::uint8_t { at_boundary, always, never };

struct StreamSettings {
  StreamKind kind = StreamKind::messages;
  StreamOrder order = StreamOrder::as_answered;
  StreamReuse reuse = StreamReuse::at_boundary;
  std::uint32_t open_max = 1024;         // streams at one time
  std::uint32_t in_flight_max = 64;      // messages of one message stream
  std::uint32_t buffer_bytes = 262'144;  // of one stream, waiting to be read by its process
  std::uint32_t wait_ms = 10'000;        // for a session: of its own, or one of the upstream's that is up
  std::uint32_t idle_max_ms = 4'000;     // a leased session that has lain in the pool for longer is replaced; 0: never
};

enum class SessionChoice : std::uint8_t { least_in_flight, round_robin, primary_standby };

struct TimeoutSettings {
  std::uint32_t connect_ms = 5'000;
  std::uint32_t handshake_ms = 10'000;
  std::uint32_t request_ms = 30'000;       // for a request that brings no deadline of its own
  std::uint32_t late_answer_ms = 60'000;   // how long after its deadline a request's answer is still recognised
  std::uint32_t write_stall_ms = 10'000;   // a host that takes no bytes for so long is given up
  std::uint32_t sign_on_ms = 10'000;       // for each message of sign-on and sign-off
  std::uint32_t silence_ms = 0;            // so long without a byte while requests are in flight: given up; 0: never
  std::uint32_t session_idle_ms = 60'000;  // a session beyond `sessions` ends after so long without a request
  std::uint32_t drain_ms = 30'000;         // how long a session that is being replaced waits for its answers
};

struct BackoffSettings {
  std::uint32_t initial_ms = 100;
  std::uint32_t max_ms = 30'000;
  std::uint32_t jitter_percent = 20;
};

struct UpstreamSettings {
  std::string name;
  std::vector<std::string> groups;  // that may use it
  std::vector<EndpointSettings> endpoints;
  std::uint32_t sessions = 2;      // kept up; 0, for leased streams: made when one needs it
  std::uint32_t sessions_max = 0;  // under load; 0: as `sessions`
  SessionChoice session_choice = SessionChoice::least_in_flight;
  std::uint32_t handshakes_max = 2;       // connections being made at one time
  std::uint32_t in_flight_max = 256;      // on each session
  std::uint32_t queue_max = 4096;         // waiting for a session
  std::uint32_t queue_max_of_client = 0;  // of these, of one client; 0: no limit of its own
  std::uint32_t queue_max_of_group = 0;
  std::string subscriber_group;  // whose subscribers get what the host sends unasked; empty: the first of `groups`
  TlsSettings tls;
  FramingSettings framing;
  CorrelationSettings correlation;
  TimeoutSettings timeouts;
  BackoffSettings backoff;
  SignOnSettings sign_on;
  SignOffSettings sign_off;
  HeartbeatSettings heartbeat;
  std::vector<AutoReplySettings> auto_replies;
  RotationSettings rotation;
  TcpSettings tcp;
  TraceNumberSettings trace_numbers;
  StreamSettings streams;
};

// Connections of programs under libtlsmux_ssl.so that are to be shared. Either by address or by name.
struct SslWrapperRule {
  std::string address;  // where the program connects to: literal, or with a prefix length ("192.0.2.0/24")
  std::string name;     // the server name that it sets: "host.example", or "*.bank.example" for all names below
  std::uint16_t port = 443;
  std::string upstream;
  bool create = false;        // `upstream` is the model of one that is made for each name on first use
  bool any_identity = false;  // also programs that bring a client certificate: the upstream's takes its place
};

struct SslWrapperSettings {
  std::vector<SslWrapperRule> rules;  // the first that fits
  std::uint16_t listener_port = 0;    // on loopback; 0: the kernel chooses
  std::uint32_t created_max = 16;     // upstreams that rules with `create` may make
};

struct Config {
  EngineSettings engine;
  std::vector<GroupSettings> groups;
  std::vector<UpstreamSettings> upstreams;
  SslWrapperSettings ssl_wrapper;
};

}  // namespace tlsmux::config
