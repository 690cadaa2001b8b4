#include "tests/simulation/sightings.hpp"

namespace tlsmux::simulation {
namespace {

constexpr std::array<std::string_view, kSeenCount> kNames{
    "engine_out_of_memory",
    "engine_stopped",
    "engine_restarted",
    "session_ready",
    "session_failed",
    "session_lost",
    "session_closed",
    "request_moved",
    "client_admitted",
    "offender_detached",
    "channel_refused",
    "channel_opened_by_shard",
    "channel_opened_at_once",
    "channel_closed",
    "settings_changed",
    "sessions_replaced",
    "upstream_restarted",
    "stream_kind_changed",
    "correlation_changed",
    "group_shut_out",
    "upstream_drained",
    "drain_cut_short",
    "drain_cancelled",
    "upstream_removed",
    "group_removed",
    "vanished_bytes",
    "vanished_reset",
    "vanished_timeout",
    "host_held_up",
    "stream_kept_for_others",
    "session_kept_for_others",
    "late_answer",
    "unsolicited_message",
    "orphan",
    "tls_handshake_full",
    "tls_handshake_resumed",
    "tls_handshake_failed",
    "tls_handshake_cut",
    "tls_1_2",
    "tls_certificate_refused",
    "tls_record_refused",
    "tls_refused_by_host",
    "tls_key_update_followed",
    "tls_closed_by_host",
};
static_assert(!kNames.back().empty());

}  // namespace

std::string_view name_of(Seen seen) { return kNames[static_cast<std::size_t>(seen)]; }

void Sightings::add(const Sightings& other) {
  for (std::size_t i = 0; i < faults_.size(); ++i) faults_[i] += other.faults_[i];
  for (std::size_t i = 0; i < seen_.size(); ++i) seen_[i] += other.seen_[i];
}

}  // namespace tlsmux::simulation
