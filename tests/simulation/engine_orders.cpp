// What is ordered while an engine runs: drains, refreshes, removals. The control thread's part of it.

#include <algorithm>
#include <cerrno>

#include "tests/simulation/engine_process.hpp"

namespace tlsmux::simulation {

void EngineProcess::drain(std::uint32_t timeout_ms) {
  draining_ = true;
  stream_sockets_.stop();
  commands_.emplace_back(engine::Drain{.timeout_ms = timeout_ms});
}

void EngineProcess::drain_upstream(std::uint32_t upstream, std::uint32_t timeout_ms) {
  drained_.insert(upstream);
  context_.note(Seen::upstream_drained);
  drains_[++last_asker_] = upstream;
  commands_.emplace_back(engine::DrainUpstream{
      .asker = last_asker_, .upstream = context_.upstream(upstream).name, .timeout_ms = timeout_ms});
}

void EngineProcess::resume_upstream(std::uint32_t upstream) {
  drained_.erase(upstream);
  drains_[++last_asker_] = upstream;
  commands_.emplace_back(engine::ResumeUpstream{.asker = last_asker_, .upstream = context_.upstream(upstream).name});
}

void EngineProcess::take(const engine::UpstreamDrained& reply) {
  const auto order = drains_.extract(reply.asker);
  if (order.empty()) throw Violation("a drain is answered that nobody has ordered, or twice");
  const bool is_right =
      reply.error == 0 || reply.error == ECANCELED || (reply.error == ENOENT && is_removed(order.mapped()));
  if (!is_right) throw Violation("a drain is answered with " + std::to_string(reply.error));
  if (reply.error == ECANCELED) context_.note(Seen::drain_cancelled);
  if (reply.requests_left > 0) context_.note(Seen::drain_cut_short);
}

bool EngineProcess::takes_orders() const {
  const auto is_refresh = [](const auto& command) { return std::holds_alternative<engine::ApplyConfig>(command); };
  return std::ranges::none_of(commands_, is_refresh);
}

void EngineProcess::refresh(std::uint32_t upstream, const config::UpstreamSettings& settings,
                            engine::ApplyConfig::Kind kind, bool replace_sessions) {
  if (!takes_orders()) return;
  auto& ordered = ordered_.upstreams[upstream];
  ordered = settings;
  context_.ledger.late_answers_within(upstream, settings.timeouts.late_answer_ms);
  for (const auto group : removed_groups_) std::erase(ordered.groups, context_.config.groups[group].name);
  set_subscriber(upstream);
  if (ordered.groups.size() < context_.config.groups.size()) {
    has_shut_out_ = true;
    context_.note(Seen::group_shut_out);
  }
  if (replace_sessions) context_.note(Seen::sessions_replaced);
  context_.note(kind == engine::ApplyConfig::Kind::restarted ? Seen::upstream_restarted : Seen::settings_changed);
  engine::ApplyConfig changes{.config = std::make_shared<config::Config>(ordered_), .upstreams = {}};
  changes.upstreams.push_back(
      {.kind = kind, .index = upstream, .tls_client = nullptr, .replace_sessions = replace_sessions});
  order(std::move(changes));
}

bool EngineProcess::remove_upstream(std::uint32_t upstream) {
  if (!takes_orders() || !removed_.insert(upstream).second) return false;
  context_.note(Seen::upstream_removed);
  ordered_.upstreams[upstream].name.clear();
  engine::ApplyConfig changes{.config = std::make_shared<config::Config>(ordered_), .upstreams = {}};
  changes.upstreams.push_back({.kind = engine::ApplyConfig::Kind::removed, .index = upstream, .tls_client = nullptr});
  order(std::move(changes));
  return true;
}

std::vector<std::string> EngineProcess::groups_of(std::uint32_t upstream) const {
  const auto& settings = context_.upstream(upstream);
  std::vector<std::string> groups{settings.subscriber_group};
  for (const auto& group : settings.groups) {
    if (group != groups.front()) groups.push_back(group);
  }
  for (const auto group : removed_groups_) std::erase(groups, context_.config.groups[group].name);
  return groups;
}

// One that is there, and may use it.
void EngineProcess::set_subscriber(std::uint32_t upstream) {
  auto& ordered = ordered_.upstreams[upstream];
  ordered.subscriber_group = groups_of(upstream).front();
  if (std::ranges::find(ordered.groups, ordered.subscriber_group) == ordered.groups.end()) {
    ordered.groups.push_back(ordered.subscriber_group);
  }
}

bool EngineProcess::remove_group(std::uint32_t group) {
  const auto groups_left = context_.config.groups.size() - removed_groups_.size();
  if (!takes_orders() || groups_left == 1 || !removed_groups_.insert(group).second) return false;
  has_shut_out_ = true;
  engine::ApplyConfig changes{.config = nullptr, .upstreams = {}};
  changes.groups_removed = {group};
  for (std::uint32_t i = 0; i < ordered_.upstreams.size(); ++i) {
    if (is_removed(i)) continue;
    auto& upstream = ordered_.upstreams[i];
    std::erase(upstream.groups, context_.config.groups[group].name);
    set_subscriber(i);
    changes.upstreams.push_back({.kind = engine::ApplyConfig::Kind::changed, .index = i, .tls_client = nullptr});
  }
  ordered_.groups[group].name.clear();
  ordered_.groups[group].orphans.count_max = 0;
  changes.config = std::make_shared<config::Config>(ordered_);
  order(std::move(changes));
  context_.note(Seen::group_removed);
  return true;
}

void EngineProcess::order(engine::ApplyConfig order) {
  ++orders_;
  openings_.change_begins();
  commands_.emplace_back(std::move(order));
}

void EngineProcess::take(const engine::ConfigApplied& /*reply*/) {
  if (--orders_ == 0) openings_.change_ends();
}

}  // namespace tlsmux::simulation
