#pragma once

// What lies in the segment, byte for byte, but for what is about ports (port_layout.hpp). LAYOUT.md draws it and says who
// writes each word. No logic here.
//
// Everything is fixed-width, little-endian as the machine is, naturally aligned, and addressed by offsets from the
// start of its part. Fields are never moved or reused within a major version; new ones take reserved space.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/limits.hpp"
#include "shm/layout_words.hpp"
#include "shm/outcome.hpp"
#include "shm/port_layout.hpp"  // the rest of it
#include "shm/slot_word.hpp"

namespace tlsmux::shm {

inline constexpr std::uint32_t kLayoutMajor = 1;
inline constexpr std::uint32_t kLayoutMinor = 0;
inline constexpr std::uint32_t kLayoutVersion = kLayoutMajor << 16 | kLayoutMinor;
inline constexpr std::uint64_t kGroupMagic = 0x50554f5247584d54;   // "TMXGROUP"
inline constexpr std::uint64_t kClientMagic = 0x544e4c4349584d54;  // "TMXICLNT"

using BootId = std::array<std::uint8_t, 16>;  // random for each start of an engine

// ---- The group's part: written by the engine only, mapped read-only by members. ----

enum class EngineState : std::uint32_t { starting = 0, running = 1, draining = 2, stopped = 3 };

enum class SectionKind : std::uint32_t {
  none = 0,
  clients = 1,
  upstreams = 2,
  sessions = 3,
  port_configuration = 4,
  port_allocation = 5,
  endpoints = 6,
  port_summary = 7,
  port_denials = 8,
};

// A table of equal rows. Readers step by `row_bytes`, so that rows may grow in a minor version.
struct Section {
  SectionKind kind;
  std::uint32_t row_bytes;
  std::uint64_t offset;
  std::uint32_t row_count;
  std::uint32_t reserved;
};
static_assert(sizeof(Section) == 24);

struct alignas(kCacheLineBytes) GroupHeader {
  std::uint64_t magic;
  std::atomic<std::uint32_t> version;  // stored last, with release; 0: not ready
  std::uint32_t header_bytes;
  std::uint64_t total_bytes;
  BootId boot_id;
  std::uint32_t engine_pid;
  std::uint32_t shard_count;
  std::int64_t engine_started_s;  // seconds since 1970
  Name group;
  std::uint32_t section_count;
  std::uint32_t restarts;  // how many engines of this tlsmuxd came before
  std::array<Section, 16> sections;
  std::array<std::uint64_t, 8> reserved1;
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> heartbeat_ns;  // CLOCK_MONOTONIC; for people, proves nothing
  std::atomic<EngineState> state;
};
static_assert(offsetof(GroupHeader, version) == 8 && offsetof(GroupHeader, restarts) == 124);
static_assert(offsetof(GroupHeader, sections) == 128);
static_assert(offsetof(GroupHeader, heartbeat_ns) == 576 && sizeof(GroupHeader) == 640);

struct alignas(kCacheLineBytes) ClientRow {
  RowSequence sequence;
  std::uint32_t pid;  // 0: the row is empty
  std::uint64_t client_id;
  std::uint32_t uid;
  std::uint32_t channels;
  std::uint32_t in_flight;
  std::uint32_t slots_held;  // by the engine
  std::int64_t since_s;
  std::array<char, 32> program;
  std::uint64_t requests;
  std::array<std::uint64_t, 5> reserved;
};
static_assert(sizeof(ClientRow) == 128);

inline constexpr std::size_t kHistogramBuckets = 512;  // see latency_histogram.hpp

// One upstream as this group sees it: the outcomes and latencies are of the group's own requests.
struct alignas(kCacheLineBytes) UpstreamRow {
  RowSequence sequence;
  std::uint32_t in_use;
  Name name;
  std::uint32_t sessions_ready;
  std::uint32_t sessions_wanted;
  std::uint32_t in_flight;  // of all groups
  std::uint32_t queued;     // of all groups
  std::uint64_t handshakes_full;
  std::uint64_t handshakes_resumed;
  std::uint64_t unsolicited;
  std::uint64_t late;
  std::uint64_t answered;
  std::array<std::uint64_t, kReasonCount> not_sent;    // by Reason
  std::array<std::uint64_t, kReasonCount> maybe_sent;  // by Reason
  std::int64_t last_error_s;
  Reason last_error_reason;
  std::array<std::uint8_t, 6> reserved0;
  Text last_error;
  std::array<std::uint64_t, kHistogramBuckets> latency;  // from intake to answer
  std::uint32_t draining;                                // 1: takes no requests
  std::uint32_t subscribers;                             // channels of this group that have subscribed to anything
  std::uint64_t keep_alives;                             // that came from the host
  std::uint32_t orphans_held;
  std::uint32_t orphans_waiting;  // of these, for a subscriber
  std::uint64_t orphans_dropped;
  std::uint64_t late_dropped;  // late answers that nobody had subscribed for
  std::uint64_t unsolicited_dropped;
  std::uint32_t streams;  // open, of all groups
  std::uint32_t reserved1;
  std::uint64_t streams_lost;  // or refused, of all groups
};
static_assert(offsetof(UpstreamRow, streams) == 5552 && sizeof(UpstreamRow) == 5568);
static_assert(offsetof(UpstreamRow, not_sent) == 128 && sizeof(UpstreamRow) % kCacheLineBytes == 0);

enum class SessionState : std::uint32_t {
  none = 0,
  backing_off = 1,
  resolving = 2,
  connecting = 3,
  handshaking = 4,
  ready = 5,
  draining = 6,
  signing_on = 7,
};

struct alignas(kCacheLineBytes) SessionRow {
  RowSequence sequence;
  std::uint32_t upstream;  // row number in the upstreams table
  SessionState state;
  std::uint32_t in_flight;
  std::int64_t since_s;  // in this state
  std::int64_t certificate_expires_s;
  std::uint64_t requests;
  std::array<char, 80> address;
  std::array<char, 16> tls_version;
  std::array<char, 64> suite;
  std::uint32_t resumed;
  std::uint32_t in_use;    // 0: the row is empty
  std::uint32_t endpoint;  // row number in the endpoints table
  std::uint32_t heartbeats_missed;
  std::int64_t heard_s;  // the last message from the host
  std::array<std::uint64_t, 4> reserved1;
};
static_assert(sizeof(SessionRow) == 256);

// One endpoint of an upstream.
struct alignas(kCacheLineBytes) EndpointRow {
  RowSequence sequence;
  std::uint32_t in_use;
  std::uint32_t upstream;  // row number in the upstreams table
  std::uint32_t priority;
  std::uint32_t weight;
  std::uint32_t sessions;  // ready ones
  std::uint32_t is_out;    // 1: failed, and not tried before retry_s
  std::uint32_t failures;  // in a row
  std::int64_t retry_s;
  std::array<char, 264> address;  // "host:port"
  Reason last_error_reason;
  std::array<std::uint8_t, 6> reserved0;
  std::array<std::uint64_t, 9> reserved1;
};
static_assert(sizeof(EndpointRow) == 384);

// ---- The client's own part: one memfd for each client, writable by that client. ----

// Between one data loop and the channels that it serves.
struct ShardWords {
  // Set by the engine before it stops looking at this client; see doorbell.hpp.
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> engine_armed;
  // Bit c: channel c has published since the engine last looked.
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> ready;
};
static_assert(sizeof(ShardWords) == 128);

struct alignas(kCacheLineBytes) ClientHeader {
  std::uint64_t magic;
  std::atomic<std::uint32_t> version;
  std::uint32_t header_bytes;
  std::uint64_t total_bytes;
  BootId boot_id;
  std::uint64_t client_id;
  std::uint32_t channel_count;
  std::uint32_t slots_per_channel;
  std::uint32_t slot_bytes;
  std::uint32_t ring_entries;
  std::uint64_t channels_offset;
  std::uint64_t channel_stride;
  std::uint64_t leases_offset;  // of ports
  std::uint64_t leases_bytes;
  std::array<std::uint64_t, 3> reserved;
  std::array<ShardWords, config::kShardsMax> shards;
};
static_assert(offsetof(ClientHeader, shards) == 128 && sizeof(ClientHeader) == 2176);

struct RingIndexes {
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> tail;  // producer's
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> head;  // consumer's
  // Of the completion ring, the client's: the outcomes before this position have been handed to the application. The
  // ring does not need it; the engine reads it when the process is dead.
  std::atomic<std::uint64_t> seen;
};
static_assert(sizeof(RingIndexes) == 128 && offsetof(RingIndexes, seen) == 72);

inline constexpr std::uint32_t kTraceBlocks = 4;

// Blocks of trace numbers, leased to the channel: a ring of which the engine produces and the client consumes. Block n
// lies at n % kTraceBlocks. The client stores `asked` once and `taken` when it begins a block, and sets the channel's
// ready bit after either; see trace_lease.hpp.
struct TraceLease {
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> granted;  // blocks so far; the engine's
  std::array<std::atomic<std::uint64_t>, kTraceBlocks> blocks;  // count << 32 | first; the engine's
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> taken;    // blocks begun; the client's
  std::atomic<std::uint32_t> asked;                             // 1: grant blocks to this channel; the client's
};
static_assert(sizeof(TraceLease) == 128 && offsetof(TraceLease, taken) == 64 && offsetof(TraceLease, asked) == 68);

struct ChannelHeader {
  RingIndexes requests;
  RingIndexes completions;
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> client_armed;  // see doorbell.hpp
  TraceLease trace_numbers;
};
static_assert(offsetof(ChannelHeader, completions) == 128 && offsetof(ChannelHeader, client_armed) == 256);
static_assert(offsetof(ChannelHeader, trace_numbers) == 320 && sizeof(ChannelHeader) == 448);

enum class Operation : std::uint16_t {
  request = 1,
  receive = 2,  // both slots are lent to the engine for one notice
  reply = 3,    // to the host's message that came as notice `notice`
};

// Client to engine. The engine copies it once and checks the copy.
struct alignas(kCacheLineBytes) RequestDescriptor {
  std::uint64_t tag{};         // the caller's, comes back untouched
  std::uint64_t generation{};  // of the request slot's word
  std::uint32_t request_slot{};
  std::uint32_t response_slot{};
  std::uint32_t length{};
  std::uint32_t timeout_ms{};  // from now; 0: the upstream's
  Operation operation{};
  std::uint16_t flags{};
  std::uint32_t reserved0{};
  std::uint64_t notice{};  // of a reply
  std::array<std::uint64_t, 2> reserved1{};
};
static_assert(sizeof(RequestDescriptor) == 64);

enum class NoticeKind : std::uint8_t {
  none = 0,
  late = 1,         // an answer whose request had ended; `tag` is that request's
  unsolicited = 2,  // a message of the host that answers nothing; `notice` names it for a reply
  orphan = 3,       // a request whose process died: `outcome` and `reason` hold; its bytes lie in the request slot
};

enum class CompletionKind : std::uint8_t {
  outcome = 1,   // the engine decided; `outcome`, `reason` and `length` hold
  returned = 2,  // the client had decided already (withdrawn, expired); only the slots come back
  notice = 3,    // slots that were lent come back with a message that nobody here asked for
};

// Engine to client.
struct alignas(kCacheLineBytes) CompletionDescriptor {
  std::uint64_t tag{};
  std::uint64_t generation{};
  std::uint32_t request_slot{};
  std::uint32_t response_slot{};
  std::uint32_t length{};  // of the answer or message
  Reason reason{};
  Outcome outcome{};
  CompletionKind kind{};
  std::uint32_t request_length{};  // of an orphan's request
  std::uint32_t error_offset{};    // of an unparsable request
  std::uint16_t error_field{};
  NoticeKind notice_kind{};
  std::uint8_t reserved0{};
  std::uint32_t reserved1{};
  std::uint64_t notice{};
  std::uint64_t reserved2{};
};
static_assert(sizeof(CompletionDescriptor) == 64);

// Beside each slot. The result is written before the word moves to ANSWERED, REFUSED or LOST, so that a client whose
// engine dies before the completion is published still learns the true outcome.
struct alignas(kCacheLineBytes) SlotControl {
  SlotWord word;
  std::uint32_t result_length;
  Reason result_reason;
  std::uint16_t result_error_field;
  std::uint32_t result_error_offset;
  Reason
      clients_reason;  // the client's, written before it moves the word to WITHDRAWN or EXPIRED: deadline or cancelled
  std::uint16_t reserved0;
  // The client's: the outcome of this generation was handed to the application out of the ring's turn; see `seen`.
  std::uint64_t seen_generation;
  std::array<std::uint64_t, 4> reserved1;
};
static_assert(sizeof(SlotControl) == 64);
static_assert(offsetof(SlotControl, clients_reason) == 20 && offsetof(SlotControl, seen_generation) == 24);

}  // namespace tlsmux::shm
