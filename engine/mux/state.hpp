#pragma once

// What the parts of the multiplexer share: requests, upstreams, sessions, time. One thread.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/session_places.hpp"
#include "engine/message/correlation.hpp"
#include "engine/message/frame_cutter.hpp"
#include "engine/message/framing.hpp"
#include "engine/mux/deadline_heap.hpp"
#include "engine/mux/endpoint_table.hpp"
#include "engine/mux/engine_messages.hpp"
#include "engine/mux/exchange.hpp"
#include "engine/mux/fair_queue.hpp"
#include "engine/mux/group_shares.hpp"
#include "engine/mux/key_table.hpp"
#include "engine/mux/lease.hpp"
#include "engine/mux/lease_queue.hpp"
#include "engine/mux/request_table.hpp"
#include "engine/mux/seams.hpp"
#include "engine/mux/source_ports.hpp"
#include "engine/tls/tls_session.hpp"
#include "shm/layout.hpp"

namespace tlsmux::engine::mux {

inline constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;

// What one group has made of one upstream.
struct GroupCounters {
  std::uint64_t answered = 0;
  std::uint64_t late = 0;
  std::array<std::uint64_t, shm::kReasonCount> not_sent{};
  std::array<std::uint64_t, shm::kReasonCount> maybe_sent{};
  std::array<std::uint64_t, shm::kHistogramBuckets> latency{};
};

// One place for a connection to an upstream, used again and again.
struct Session {
  SessionId id;  // the generation counts connections, made or tried
  std::uint32_t upstream = 0;
  std::uint32_t number = 0;  // within the upstream

  shm::SessionState state = shm::SessionState::none;
  std::uint64_t since_ns = 0;
  std::uint64_t timer_ns = 0;    // when the present state has lasted too long; 0: never
  std::uint64_t stall_ns = 0;    // when the send under way has lasted too long; 0: there is none
  std::uint64_t silence_ns = 0;  // when to look whether the host still sends; 0: not
  std::uint32_t endpoint = 0;
  std::vector<Address> addresses;  // of the endpoint, still to be tried
  Address address;
  bool has_connection = false;           // at the network, made or being made
  std::uint16_t source_port = 0;         // of tcp.source_ports, taken for this connection; 0: none
  std::uint32_t source_ports_tried = 0;  // for this address, without success
  bool host_ended = false;               // the host has closed its side while the handshake goes on

  std::unique_ptr<tls::TlsSession> tls;       // null while a worker has it
  std::vector<std::byte> handshake_received;  // meanwhile
  tls::WireBuffer wire;
  bool sending = false;
  std::uint64_t offered_position = 0;  // the network has been given the stream up to here, accepted or not
  std::unique_ptr<message::FrameCutter> cutter;
  RequestList in_flight;          // in the order of sealing; abandoned ones included
  RequestList replies;            // to the host's own messages, not sealed yet
  RequestList replies_in_flight;  // in the order of sealing
  std::uint64_t requests = 0;
  tls::PeerFacts facts;
  std::uint64_t heard_ns = 0;      // when it became ready, or the host's last message or keep-alive came
  std::uint64_t heartbeat_ns = 0;  // the last one sent; 0: none on this connection
  std::uint32_t heartbeats_missed = 0;
  Exchange exchange;                 // of the engine's own
  std::vector<std::byte> own_words;  // what the engine says itself, framed and not sealed yet
  std::uint64_t talk_ns = 0;         // when an answer to it is overdue, or a heartbeat due; 0: neither
  bool signed_off = false;           // said, answered or not
  Lease lease;                       // where the upstream leases its sessions

  // For the pool.
  std::uint64_t start_ns = 0;    // while backing off: not to be started earlier
  std::uint64_t started_ns = 0;  // of this connection's first attempt
  std::uint64_t ready_ns = 0;
  std::uint64_t retire_ns = 0;       // its age says so; 0: never
  std::uint64_t request_ns = 0;      // the last request that it has taken
  std::uint64_t quiet_since_ns = 0;  // no byte from the host, or nothing that it could answer, since
  std::uint32_t replaces = kNone;    // index of the session that is to end once this one serves
  bool fails_back = false;           // to a better endpoint, on trial
  bool gives_hope = false;           // while it comes up: its endpoint had not failed when it began
  bool is_outdated = false;          // made with settings that no longer hold
  bool is_extra = false;             // beyond `sessions`: used when the others are busy, ended when it is not

  // Once `closing`, nothing is sealed or received any more; the network's `closed` is awaited.
  bool closing = false;
  bool orderly = false;  // we end it, nothing is wrong
  bool was_ready = false;
  bool was_heard = false;  // a message came from the host
  shm::Reason end_reason = shm::Reason::none;
  std::string end_words;

  // On the wire, where the next record of data will begin. Requires is_open().
  [[nodiscard]] std::uint64_t record_position() const { return wire.sealed_position() + tls->bytes_before_record(); }

  // Belongs to a stream.
  [[nodiscard]] bool is_leased() const { return lease.holder.has_value(); }
  // Takes requests, or a stream.
  [[nodiscard]] bool is_up() const { return state == shm::SessionState::ready && !closing; }
  // Talks to the host through TLS.
  [[nodiscard]] bool is_open() const {
    using enum shm::SessionState;
    return (state == ready || state == signing_on || state == draining) && !closing;
  }
  [[nodiscard]] bool is_starting() const {
    using enum shm::SessionState;
    return state == resolving || state == connecting || state == handshaking || state == signing_on;
  }
};

using config::session_places;

// What a refresh of the configuration may add to a running engine, over all upstreams.
inline constexpr std::uint32_t kSpareSessionPlaces = 32;
// And what the engine may add by itself, for ssl_wrapper: of each shard.
std::uint32_t spare_session_places(const config::Config& config);

ConnectOptions connect_options_of(const config::TcpSettings& settings);

struct Upstream {
  Upstream(std::shared_ptr<const config::UpstreamSettings> upstream_settings, std::unique_ptr<tls::TlsClient> client,
           RequestTable& table, std::size_t groups, std::uint64_t seed)
      : settings(std::move(upstream_settings)),
        framing(settings->framing),
        correlation(settings->correlation),
        messages(*settings),
        tls_client(std::move(client)),
        connect_options(connect_options_of(settings->tcp)),
        endpoints(*settings),
        queue(groups),
        lease_queue(groups),
        keys(table, correlation.in_order() || tls_client == nullptr ? 1 : table.capacity(), seed),
        groups_counters(groups) {}

  // With which it starts anew once it is drained; null: it does not.
  std::shared_ptr<const config::UpstreamSettings> next_settings;
  std::unique_ptr<tls::TlsClient> next_tls_client;  // null: the present one

  std::shared_ptr<const config::UpstreamSettings> settings;
  message::Framing framing;
  message::Correlation correlation;
  EngineMessages messages;
  std::unique_ptr<tls::TlsClient> tls_client;  // null: another shard serves it
  ConnectOptions connect_options;
  SourcePorts source_ports;  // for tcp.source_ports
  EndpointTable endpoints;
  FairQueue queue;
  LeaseQueue lease_queue;          // in its place where sessions are leased
  bool hosts_answer = false;       // one has sent something to a stream
  std::uint64_t lease_due_ns = 0;  // when the first of it has waited for too long; 0: it is empty
  KeyTable keys;
  std::vector<Session*> sessions;  // by number; in the table of sessions
  std::uint32_t next_session = 0;  // where the search for the least loaded one begins
  std::uint32_t in_flight = 0;     // abandoned ones included

  // For the pool.
  std::uint32_t wanted = 0;           // sessions, from `sessions` to `sessions_max`
  bool removed = false;               // from the configuration; then it drains for good
  std::vector<bool> groups_shut_out;  // by index, of those that may not use it any more; may be shorter than there are
  bool draining = false;              // takes no requests, and ends its sessions when it has none left
  bool is_ending = false;             // and patience with those that it has is over
  std::uint32_t drain_ms = 0;         // for its sessions, instead of timeouts.drain_ms; 0: as there
  bool pool_changed = false;          // something has, of which the pool must know
  bool is_watched = false;            // a session drains or is on trial: looked at in each tick
  std::uint64_t pool_due_ns = 0;      // when the pool has something to do by itself; 0: not

  std::vector<GroupCounters> groups_counters;
  std::uint64_t handshakes_full = 0;
  std::uint64_t handshakes_resumed = 0;
  bool is_signed_on = false;  // for SignOnScope::upstream
  std::uint64_t auto_replies = 0;
  std::uint64_t unsolicited = 0;
  std::uint64_t keep_alives = 0;  // that came from the host
  shm::Reason last_error_reason = shm::Reason::none;
  std::string last_error;
  std::uint64_t last_error_ns = 0;
  bool changed = true;  // since its row was last written

  [[nodiscard]] bool is_shut_out(std::uint32_t group) const {
    return group < groups_shut_out.size() && groups_shut_out[group];
  }
};

// Near its limit: more than three quarters of what it may have in flight.
inline bool is_busy(const Session& session, const config::UpstreamSettings& settings) {
  return session.in_flight.size() * 4 > std::size_t{settings.in_flight_max} * 3;
}

struct MuxState {
  Seams seams;
  RequestTable requests;
  GroupShares shares;  // of `requests`
  DeadlineHeap deadlines;
  std::vector<std::unique_ptr<Upstream>> upstreams;
  std::vector<Session> sessions;   // never resized: sessions are pointed to
  std::size_t sessions_given = 0;  // to upstreams; those behind are spare
  std::mt19937_64 random;
  std::uint64_t now_ns = 0;
  std::int64_t wall_offset_s = 0;   // added to now_ns in seconds: seconds since 1970
  std::int32_t local_offset_s = 0;  // of the local time zone, east of UTC
  std::uint64_t next_timer_ns = 0;  // no timer of a session or a pool is earlier; 0: none is set
  std::size_t replies_waiting = 0;  // over all sessions
  bool draining = false;

  void set_timer(std::uint64_t& timer_ns, std::uint64_t at_ns) {
    timer_ns = at_ns;
    if (next_timer_ns == 0 || at_ns < next_timer_ns) next_timer_ns = at_ns;
  }
  void set_timer_in_ms(std::uint64_t& timer_ns, std::uint64_t ms) {
    set_timer(timer_ns, now_ns + ms * kNanosecondsPerMillisecond);
  }

  void set_state(Session& session, shm::SessionState to) {
    session.state = to;
    session.since_ns = now_ns;
    session.timer_ns = 0;
    auto& upstream = upstream_of(session);
    upstream.changed = upstream.pool_changed = true;
  }

  [[nodiscard]] std::int64_t utc_s() const { return static_cast<std::int64_t>(now_ns / 1'000'000'000) + wall_offset_s; }

  // A place for a request of the group; kNone: there is none for it.
  RequestIndex take_place(std::uint32_t group) {
    if (!shares.may_take(group)) return kNone;
    const auto index = requests.allocate();
    requests[index].group = group;
    shares.take(group);
    return index;
  }
  void free_place(RequestIndex index) {
    shares.give_back(requests[index].group);
    requests.release(index);
  }

  Upstream& upstream_of(const Session& session) { return *upstreams[session.upstream]; }

  // Null when the id is of an earlier connection.
  Session* find(SessionId id) {
    if (id.index >= sessions.size() || sessions[id.index].id != id) return nullptr;
    return &sessions[id.index];
  }
};

}  // namespace tlsmux::engine::mux
