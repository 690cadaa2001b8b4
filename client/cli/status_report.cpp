#include "client/cli/status_report.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "shm/control_protocol.hpp"
#include "shm/latency_histogram.hpp"
#include "shm/row.hpp"

namespace tlsmux::client::cli {
namespace {

std::string state_name(shm::SessionState state) {
  switch (state) {
    case shm::SessionState::none: return "none";
    case shm::SessionState::backing_off: return "backing_off";
    case shm::SessionState::resolving: return "resolving";
    case shm::SessionState::connecting: return "connecting";
    case shm::SessionState::handshaking: return "handshaking";
    case shm::SessionState::signing_on: return "signing_on";
    case shm::SessionState::ready: return "ready";
    case shm::SessionState::draining: return "draining";
  }
  return "unknown";
}

std::map<std::string, std::uint64_t> by_reason(const std::array<std::uint64_t, shm::kReasonCount>& counts) {
  std::map<std::string, std::uint64_t> named;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0) named[std::string(shm::reason_name(static_cast<shm::Reason>(i)))] += counts[i];
  }
  return named;
}

UpstreamStatus upstream_status(const shm::UpstreamRow& row) {
  auto maybe_sent = row.maybe_sent;
  const auto replies_sent = std::exchange(maybe_sent[static_cast<std::size_t>(shm::Reason::reply_sent)], 0);
  return {.name = std::string(shm::text_of(row.name)),
          .draining = row.draining != 0,
          .sessions_ready = row.sessions_ready,
          .sessions_wanted = row.sessions_wanted,
          .in_flight = row.in_flight,
          .queued = row.queued,
          .handshakes_full = row.handshakes_full,
          .handshakes_resumed = row.handshakes_resumed,
          .answered = row.answered,
          .not_sent = by_reason(row.not_sent),
          .maybe_sent = by_reason(maybe_sent),
          .replies_sent = replies_sent,
          .late = row.late,
          .unsolicited = row.unsolicited,
          .keep_alives = row.keep_alives,
          .subscribers = row.subscribers,
          .orphans_held = row.orphans_held,
          .orphans_waiting = row.orphans_waiting,
          .orphans_dropped = row.orphans_dropped,
          .late_dropped = row.late_dropped,
          .unsolicited_dropped = row.unsolicited_dropped,
          .streams = row.streams,
          .streams_lost = row.streams_lost,
          .p50_ns = shm::percentile(row.latency, 0.50),
          .p99_ns = shm::percentile(row.latency, 0.99),
          .last_error_s = row.last_error_s,
          .last_error_reason = std::string(shm::reason_name(row.last_error_reason)),
          .last_error = std::string(shm::text_of(row.last_error)),
          .endpoints = {},
          .sessions = {}};
}

EndpointStatus endpoint_status(const shm::EndpointRow& row) {
  return {.address = std::string(shm::text_of(row.address)),
          .priority = row.priority,
          .weight = row.weight,
          .sessions = row.sessions,
          .is_out = row.is_out != 0,
          .failures = row.failures,
          .retry_s = row.retry_s,
          .last_error_reason = std::string(shm::reason_name(row.last_error_reason))};
}

SessionStatus session_status(const shm::SessionRow& row) {
  return {.state = state_name(row.state),
          .since_s = row.since_s,
          .endpoint = {},
          .address = std::string(shm::text_of(row.address)),
          .tls_version = std::string(shm::text_of(row.tls_version)),
          .suite = std::string(shm::text_of(row.suite)),
          .resumed = row.resumed != 0,
          .certificate_expires_s = row.certificate_expires_s,
          .in_flight = row.in_flight,
          .requests = row.requests,
          .heard_s = row.heard_s,
          .heartbeats_missed = row.heartbeats_missed};
}

void add_upstreams(const shm::GroupView& view, GroupStatus& status) {
  const auto row = std::make_unique<shm::UpstreamRow>();
  std::vector<std::size_t> place_of_row(view.upstreams().size(), SIZE_MAX);
  for (std::uint32_t i = 0; i < view.upstreams().size(); ++i) {
    if (!shm::read_row(view.upstreams()[i], *row) || row->in_use == 0) continue;
    place_of_row[i] = status.upstreams.size();
    status.upstreams.push_back(upstream_status(*row));
  }
  const auto upstream_of = [&](std::uint32_t row_number) -> UpstreamStatus* {
    const bool is_known = row_number < place_of_row.size() && place_of_row[row_number] != SIZE_MAX;
    return is_known ? &status.upstreams[place_of_row[row_number]] : nullptr;
  };
  std::vector<std::string> endpoint_of_row(view.endpoints().size());
  for (std::uint32_t i = 0; i < view.endpoints().size(); ++i) {
    shm::EndpointRow endpoint;
    if (!shm::read_row(view.endpoints()[i], endpoint) || endpoint.in_use == 0) continue;
    endpoint_of_row[i] = std::string(shm::text_of(endpoint.address));
    if (auto* upstream = upstream_of(endpoint.upstream)) upstream->endpoints.push_back(endpoint_status(endpoint));
  }
  for (std::uint32_t i = 0; i < view.sessions().size(); ++i) {
    shm::SessionRow session;
    if (!shm::read_row(view.sessions()[i], session) || session.in_use == 0) continue;
    auto* upstream = upstream_of(session.upstream);
    if (upstream == nullptr) continue;
    upstream->sessions.push_back(session_status(session));
    if (session.endpoint < endpoint_of_row.size())
      upstream->sessions.back().endpoint = endpoint_of_row[session.endpoint];
  }
}

// A client has a row with each shard that serves it.
void add_clients(const shm::GroupView& view, GroupStatus& status) {
  std::map<std::uint64_t, std::size_t> place_of_client;
  for (std::uint32_t i = 0; i < view.clients().size(); ++i) {
    shm::ClientRow row;
    if (!shm::read_row(view.clients()[i], row) || row.pid == 0) continue;
    const auto [place, is_new] = place_of_client.try_emplace(row.client_id, status.clients.size());
    if (!is_new) {
      auto& client = status.clients[place->second];
      client.channels += row.channels;
      client.in_flight += row.in_flight;
      client.slots_held += row.slots_held;
      client.requests += row.requests;
      client.since_s = std::min(client.since_s, row.since_s);
      continue;
    }
    status.clients.push_back({.pid = row.pid,
                              .uid = row.uid,
                              .program = std::string(shm::text_of(row.program)),
                              .channels = row.channels,
                              .in_flight = row.in_flight,
                              .slots_held = row.slots_held,
                              .requests = row.requests,
                              .since_s = row.since_s});
  }
}

}  // namespace

bool is_drained(const UpstreamStatus& upstream) {
  return upstream.draining && upstream.in_flight == 0 && upstream.queued == 0 && upstream.sessions.empty();
}

GroupStatus report(const ObservedGroup& observed, std::uint64_t now_ns) {
  GroupStatus status{.engine = engine_facts(observed, now_ns), .upstreams = {}, .clients = {}};
  add_upstreams(observed.view, status);
  add_clients(observed.view, status);
  return status;
}

}  // namespace tlsmux::client::cli
