#pragma once

// What the worlds have seen: faults that struck, and what came of them. To show that the generator reaches everything.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/simulation/faults.hpp"

namespace tlsmux::simulation {

enum class Seen : std::uint8_t {
  // The engine.
  engine_out_of_memory,  // and ends by that
  engine_stopped,        // in good order
  engine_restarted,      // with clients or streams of the one before still there
  session_ready,
  session_failed,
  session_lost,
  session_closed,
  request_moved,  // from a session that was lost, back to the queue
  client_admitted,
  offender_detached,
  channel_refused,
  channel_opened_by_shard,
  channel_opened_at_once,  // the control thread knew the answer
  channel_closed,

  // Orders.
  settings_changed,
  sessions_replaced,
  upstream_restarted,
  stream_kind_changed,
  correlation_changed,
  group_shut_out,
  upstream_drained,
  drain_cut_short,  // requests were left when its time was over
  drain_cancelled,
  upstream_removed,
  group_removed,

  // The network.
  vanished_bytes,  // written to a peer that is gone
  vanished_reset,
  vanished_timeout,
  host_held_up,

  // What groups share.
  stream_kept_for_others,   // it is refused, although there is room
  session_kept_for_others,  // it lies free while a stream waits

  // Notices.
  late_answer,
  unsolicited_message,
  orphan,

  // Real TLS.
  tls_handshake_full,
  tls_handshake_resumed,
  tls_handshake_failed,  // in another way, as the engine sees it
  tls_handshake_cut,     // it came to no end
  tls_1_2,
  tls_certificate_refused,  // by the engine
  tls_record_refused,       // by the engine
  tls_refused_by_host,      // a handshake or a record
  tls_key_update_followed,  // the engine has changed its own key, as it was asked to
  tls_closed_by_host,       // with close_notify
};
inline constexpr std::size_t kSeenCount = static_cast<std::size_t>(Seen::tls_closed_by_host) + 1;

std::string_view name_of(Seen seen);

class Sightings {
 public:
  void count(Fault fault) { ++faults_[static_cast<std::size_t>(fault)]; }
  void count(Seen seen) { ++seen_[static_cast<std::size_t>(seen)]; }
  void add(const Sightings& other);
  friend bool operator==(const Sightings&, const Sightings&) = default;

  [[nodiscard]] std::uint64_t of(Fault fault) const { return faults_[static_cast<std::size_t>(fault)]; }
  [[nodiscard]] std::uint64_t of(Seen seen) const { return seen_[static_cast<std::size_t>(seen)]; }

 private:
  std::array<std::uint64_t, kFaultCount> faults_{};
  std::array<std::uint64_t, kSeenCount> seen_{};
};

}  // namespace tlsmux::simulation
