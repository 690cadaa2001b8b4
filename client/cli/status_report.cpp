#include "client/cli/status_report.hpp"

#include <memory>

#include "shm/control_protocol.hpp"
#include "shm/latency_histogram.hpp"
#include "shm/row.hpp"

namespace tlsmux::client::cli {
namespace {

std::string state_name(shm::EngineState state) {
  switch (state) {
    case shm::EngineState::starting: return "starting";
    case shm::EngineState::running: return "running";
    case shm::EngineState::draining: return "draining";
    case shm::EngineState::stopped: return "stopped";
  }
  return "unknown";
}

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
  return {.name = std::string(shm::text_of(row.name)),
          .sessions_ready = row.sessions_ready,
          .sessions_wanted = row.sessions_wanted,
          .in_flight = row.in_flight,
          .queued = row.queued,
          .handshakes_full = row.handshakes_full,
          .handshakes_resumed = row.handshakes_resumed,
          .answered = row.answered,
          .not_sent = by_reason(row.not_sent),
          .maybe_sent = by_reason(row.maybe_sent),
          .late = row.late,
          .unsolicited = row.unsolicited,
          .p50_ns = shm::percentile(row.latency, 0.50),
          .p99_ns = shm::percentile(row.latency, 0.99),
          .last_error_s = row.last_error_s,
          .last_error_reason = std::string(shm::reason_name(row.last_error_reason)),
          .last_error = std::string(shm::text_of(row.last_error)),
          .sessions = {}};
}

SessionStatus session_status(const shm::SessionRow& row) {
  return {.state = state_name(row.state),
          .since_s = row.since_s,
          .address = std::string(shm::text_of(row.address)),
          .tls_version = std::string(shm::text_of(row.tls_version)),
          .suite = std::string(shm::text_of(row.suite)),
          .resumed = row.resumed != 0,
          .certificate_expires_s = row.certificate_expires_s,
          .in_flight = row.in_flight,
          .requests = row.requests};
}

void add_upstreams(const shm::GroupView& view, GroupStatus& status) {
  const auto row = std::make_unique<shm::UpstreamRow>();
  std::vector<std::size_t> place_of_row(view.upstreams().size(), SIZE_MAX);
  for (std::uint32_t i = 0; i < view.upstreams().size(); ++i) {
    if (!shm::read_row(view.upstreams()[i], *row) || row->in_use == 0) continue;
    place_of_row[i] = status.upstreams.size();
    status.upstreams.push_back(upstream_status(*row));
  }
  for (std::uint32_t i = 0; i < view.sessions().size(); ++i) {
    shm::SessionRow session;
    if (!shm::read_row(view.sessions()[i], session)) continue;
    if (session.upstream >= place_of_row.size() || place_of_row[session.upstream] == SIZE_MAX) continue;
    status.upstreams[place_of_row[session.upstream]].sessions.push_back(session_status(session));
  }
}

void add_clients(const shm::GroupView& view, GroupStatus& status) {
  for (std::uint32_t i = 0; i < view.clients().size(); ++i) {
    shm::ClientRow row;
    if (!shm::read_row(view.clients()[i], row) || row.pid == 0) continue;
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

GroupStatus report(const ObservedGroup& observed, std::uint64_t now_ns) {
  const auto& header = observed.view.header();
  GroupStatus status{.group = observed.name,
                     .engine_answers = observed.engine_answers,
                     .engine_pid = header.engine_pid,
                     .engine_state = state_name(header.state.load(std::memory_order_relaxed)),
                     .engine_started_s = header.engine_started_s,
                     .heartbeat_age_ns = 0,
                     .upstreams = {},
                     .clients = {}};
  const auto heartbeat_ns = header.heartbeat_ns.load(std::memory_order_relaxed);
  status.heartbeat_age_ns = now_ns > heartbeat_ns ? now_ns - heartbeat_ns : 0;
  add_upstreams(observed.view, status);
  add_clients(observed.view, status);
  return status;
}

}  // namespace tlsmux::client::cli
