// What whoever runs the engine orders, and takes back in the end.

#include <algorithm>

#include "tests/simulation/scenario.hpp"
#include "tests/simulation/world.hpp"

namespace tlsmux::simulation {

void World::give_order(std::uint32_t upstream) {
  if (context_.strikes(Fault::upstream_drains)) drain_or_resume(upstream);
  if (context_.strikes(Fault::refresh)) refresh(upstream);
  if (context_.strikes(Fault::upstream_removed)) remove_upstream(upstream);
  if (!context_.strikes(Fault::group_removed)) return;
  const auto group = static_cast<std::uint32_t>(context_.random.below(context_.config.groups.size()));
  if (engine_->remove_group(group)) context_.trace("group " + std::to_string(group) + " is removed");
}

void World::refresh(std::uint32_t upstream) {
  if (engine_->is_removed(upstream) || !engine_->takes_orders()) return;
  context_.trace("the settings of upstream " + std::to_string(upstream) + " change");
  auto& random = context_.random;
  auto settings = make_change(random, context_.config.upstreams[upstream], engine_->settings(upstream));
  const bool is_other = context_.is_fickle(upstream) && random.below(2) == 0;
  if (is_other) change_kind(random, settings);
  if (is_other) context_.note(Seen::stream_kind_changed);
  const bool has_other_keys = context_.changing_keys.contains(upstream) && random.below(2) == 0;
  if (has_other_keys) change_correlation(context_.upstream(upstream), settings);
  if (has_other_keys) context_.note(Seen::correlation_changed);
  using Kind = engine::ApplyConfig::Kind;
  const auto kind = is_other || has_other_keys || random.below(4) == 0 ? Kind::restarted : Kind::changed;
  engine_->refresh(upstream, settings, kind, random.below(2) == 0);
}

void World::remove_upstream(std::uint32_t upstream) {
  if (engine_->remove_upstream(upstream)) context_.trace("upstream " + std::to_string(upstream) + " is removed");
}

void World::drain_or_resume(std::uint32_t upstream) {
  if (engine_->is_removed(upstream)) return;
  const bool is_drained = engine_->is_drained(upstream);
  context_.trace("upstream " + std::to_string(upstream) + (is_drained ? " is resumed" : " is drained"));
  if (is_drained) return engine_->resume_upstream(upstream);
  engine_->drain_upstream(upstream, static_cast<std::uint32_t>(context_.random.below(2) * context_.random.below(100)));
}

// Who was shut out of an upstream may use it again, and one that is fickle is as it was.
void World::restore_settings() {
  for (std::uint32_t i = 0; i < context_.config.upstreams.size(); ++i) {
    wait_for_orders();
    if (engine_ != nullptr && !engine_->is_removed(i)) restore(i);
  }
}

void World::restore(std::uint32_t upstream) {
  const auto& original = context_.upstream(upstream);
  auto settings = engine_->settings(upstream);
  const bool is_other = settings.streams.kind != original.streams.kind;
  const auto groups = engine_->groups_of(upstream);
  if (!is_other && settings.groups.size() == groups.size()) return;
  settings.groups = original.groups;
  settings.streams.kind = original.streams.kind;
  if (is_other) settings.sessions = std::max(settings.sessions, 1U);
  using Kind = engine::ApplyConfig::Kind;
  engine_->refresh(upstream, settings, is_other ? Kind::restarted : Kind::changed, false);
}

}  // namespace tlsmux::simulation
