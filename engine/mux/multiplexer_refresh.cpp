// What a refresh of the configuration changes while everything runs.
#include <array>

#include "config/leases.hpp"
#include "engine/mux/multiplexer.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::mux {
namespace {

ChangeReach reach_of(const config::UpstreamSettings& before, const config::UpstreamSettings& now) {
  const auto times = [](const config::UpstreamSettings& settings) {
    const auto& timeouts = settings.timeouts;
    const auto& backoff = settings.backoff;
    return std::array{timeouts.connect_ms, timeouts.handshake_ms, timeouts.sign_on_ms,
                      backoff.initial_ms,  backoff.max_ms,        backoff.jitter_percent};
  };
  return times(before) == times(now) ? ChangeReach::settings : ChangeReach::next_attempts;
}

}  // namespace

void Multiplexer::set_groups(std::size_t groups) {
  TMX_ASSERT(groups >= groups_);
  groups_ = groups;
  state_.shares.set_groups(groups);
  for (auto& upstream : state_.upstreams) {
    upstream->queue.set_groups(groups);
    upstream->lease_queue.set_groups(groups);
    upstream->groups_counters.resize(groups);
  }
}

void Multiplexer::add_upstream(std::shared_ptr<const config::UpstreamSettings> settings,
                               std::unique_ptr<tls::TlsClient> tls_client,
                               const std::vector<std::uint16_t>& source_ports) {
  const auto places = tls_client != nullptr ? session_places(*settings) : 0;
  TMX_ASSERT(state_.sessions_given + places <= state_.sessions.size());
  const auto index = static_cast<std::uint32_t>(state_.upstreams.size());
  auto& upstream = *state_.upstreams.emplace_back(std::make_unique<Upstream>(
      std::move(settings), std::move(tls_client), state_.requests, groups_, state_.random()));
  for (std::uint32_t number = 0; number < places; ++number) {
    auto& session = state_.sessions[state_.sessions_given++];
    session.upstream = index;
    session.number = number;
    upstream.sessions.push_back(&session);
  }
  upstream.source_ports.set(source_ports);
  pool_.resume(upstream);
}

void Multiplexer::remove_upstream(std::size_t index) {
  auto& upstream = *state_.upstreams[index];
  upstream.removed = true;
  while (!upstream.queue.empty()) settlement_.refuse(upstream.queue.front(), shm::Reason::upstream_removed);
  pool_.drain(upstream, 0);
}

void Multiplexer::restart_upstream(std::size_t index, std::shared_ptr<const config::UpstreamSettings> settings,
                                   std::unique_ptr<tls::TlsClient> tls_client) {
  auto& upstream = *state_.upstreams[index];
  restarts_ += upstream.next_settings == nullptr ? 1 : 0;
  upstream.next_settings = std::move(settings);
  if (tls_client != nullptr) upstream.next_tls_client = std::move(tls_client);
  if (!upstream.draining) pool_.drain(upstream, 0);
}

// One that was drained by command starts anew as well: who changes its settings wants to use it.
void Multiplexer::finish_restarts() {
  for (std::size_t index = 0; index < state_.upstreams.size() && restarts_ > 0; ++index) {
    auto& upstream = *state_.upstreams[index];
    if (upstream.next_settings == nullptr || !SessionPool::is_drained(upstream)) continue;
    --restarts_;
    upstream.settings = std::exchange(upstream.next_settings, nullptr);
    const auto& settings = *upstream.settings;
    upstream.framing = message::Framing(settings.framing);
    upstream.correlation = message::Correlation(settings.correlation);
    upstream.messages = EngineMessages(settings);
    upstream.keys =
        KeyTable(state_.requests, upstream.correlation.in_order() ? 1 : state_.requests.capacity(), state_.random());
    upstream.is_signed_on = false;
    if (upstream.next_tls_client != nullptr) upstream.tls_client = std::move(upstream.next_tls_client);
    upstream.connect_options = connect_options_of(settings.tcp);
    pool_.change(upstream, ChangeReach::settings);
    if (!upstream.removed) pool_.resume(upstream);
  }
}

void Multiplexer::change_upstream(std::size_t index, std::shared_ptr<const config::UpstreamSettings> settings,
                                  std::unique_ptr<tls::TlsClient> tls_client, bool replace_sessions) {
  auto& upstream = *state_.upstreams[index];
  if (upstream.next_settings != nullptr) return restart_upstream(index, std::move(settings), std::move(tls_client));
  TMX_ASSERT(session_places(*settings) <= upstream.sessions.size());
  const auto before = std::exchange(upstream.settings, std::move(settings));
  auto reach = reach_of(*before, *upstream.settings);
  if (tls_client != nullptr) {
    upstream.tls_client = std::move(tls_client);
    reach = ChangeReach::attempts;
  }
  if (replace_sessions) reach = ChangeReach::sessions;
  upstream.connect_options = connect_options_of(upstream.settings->tcp);
  if (config::leases_sessions(*upstream.settings)) leases_.reuse_changed(upstream, before->streams.reuse);
  pool_.change(upstream, reach);
}

}  // namespace tlsmux::engine::mux
