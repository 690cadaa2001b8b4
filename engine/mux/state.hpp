#pragma once

// What the parts of the multiplexer share: requests, upstreams, sessions, time. One thread.

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/message/correlation.hpp"
#include "engine/message/framing.hpp"
#include "engine/mux/deadline_heap.hpp"
#include "engine/mux/key_table.hpp"
#include "engine/mux/request_table.hpp"
#include "engine/mux/seams.hpp"
#include "engine/tls/tls_session.hpp"
#include "shm/layout.hpp"

namespace tlsmux::engine::mux {

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
  std::uint64_t timer_ns = 0;   // when the present state has lasted too long; 0: never
  std::uint32_t failures = 0;   // in a row, without having been ready
  std::uint32_t fruitless = 0;  // connections in a row that brought no message; the pause doubles with each
  std::uint32_t endpoint = 0;
  std::vector<Address> addresses;  // of the endpoint, still to be tried
  Address address;
  bool has_connection = false;  // at the network, made or being made
  bool host_ended = false;      // the host has closed its side while the handshake goes on

  std::unique_ptr<tls::TlsSession> tls;       // null while a worker has it
  std::vector<std::byte> handshake_received;  // meanwhile
  tls::WireBuffer wire;
  bool sending = false;
  std::uint64_t offered_position = 0;  // the network has been given the stream up to here, accepted or not
  std::unique_ptr<message::FrameCutter> cutter;
  RequestList in_flight;  // in the order of sealing; abandoned ones included
  std::uint64_t requests = 0;
  tls::PeerFacts facts;

  // Once `closing`, nothing is sealed or received any more; the network's `closed` is awaited.
  bool closing = false;
  bool orderly = false;  // we end it, nothing is wrong
  bool was_ready = false;
  bool was_heard = false;  // a message came from the host
  shm::Reason end_reason = shm::Reason::none;
  std::string end_words;

  [[nodiscard]] bool is_up() const { return state == shm::SessionState::ready && !closing; }
};

struct Upstream {
  Upstream(std::shared_ptr<const config::UpstreamSettings> upstream_settings, std::unique_ptr<tls::TlsClient> client,
           RequestTable& table, std::size_t groups, std::uint64_t seed)
      : settings(std::move(upstream_settings)),
        framing(settings->framing),
        correlation(settings->correlation),
        tls_client(std::move(client)),
        keys(table, correlation.in_order() ? 1 : table.capacity(), seed),
        groups_counters(groups) {}

  std::shared_ptr<const config::UpstreamSettings> settings;
  message::Framing framing;
  message::Correlation correlation;
  std::unique_ptr<tls::TlsClient> tls_client;
  RequestList queue;
  KeyTable keys;
  std::vector<Session*> sessions;  // by number; in the table of sessions
  std::uint32_t next_session = 0;  // where the search for the least loaded one begins
  std::uint32_t in_flight = 0;     // abandoned ones included
  std::vector<GroupCounters> groups_counters;
  std::uint64_t handshakes_full = 0;
  std::uint64_t handshakes_resumed = 0;
  std::uint64_t unsolicited = 0;
  shm::Reason last_error_reason = shm::Reason::none;
  std::string last_error;
  std::uint64_t last_error_ns = 0;
  bool changed = true;  // since its row was last written
};

struct MuxState {
  Seams seams;
  RequestTable requests;
  DeadlineHeap deadlines;
  std::vector<std::unique_ptr<Upstream>> upstreams;
  std::vector<Session> sessions;  // never resized: sessions are pointed to
  std::mt19937_64 random;
  std::uint64_t now_ns = 0;
  std::uint64_t next_timer_ns = 0;  // no session's timer is earlier; 0: none is set
  bool draining = false;

  void set_timer(Session& session, std::uint64_t at_ns) {
    session.timer_ns = at_ns;
    if (next_timer_ns == 0 || at_ns < next_timer_ns) next_timer_ns = at_ns;
  }

  void set_state(Session& session, shm::SessionState to) {
    session.state = to;
    session.since_ns = now_ns;
    session.timer_ns = 0;
    upstream_of(session).changed = true;
  }

  Upstream& upstream_of(const Session& session) { return *upstreams[session.upstream]; }

  // Null when the id is of an earlier connection.
  Session* find(SessionId id) {
    if (id.index >= sessions.size() || sessions[id.index].id != id) return nullptr;
    return &sessions[id.index];
  }
};

inline constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;

}  // namespace tlsmux::engine::mux
