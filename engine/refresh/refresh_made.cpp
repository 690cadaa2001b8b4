// Upstreams that the engine makes by itself, and what a refresh of the configuration does with them.

#include <algorithm>
#include <string>
#include <utility>

#include "config/json/json_pointer.hpp"
#include "config/made_upstreams.hpp"
#include "engine/refresh/refresh.hpp"

namespace tlsmux::engine {

// What was made here and cannot change while it runs goes; on its next use it is made as it would have to be.
std::vector<config::Change> Refresh::find_changes(const config::Config& before, config::Config& candidate) const {
  auto changes = config::plan(before, candidate);
  check_places(candidate, changes);
  std::vector<std::string> stuck;
  for (std::size_t place = 0; place < candidate.upstreams.size(); ++place) {
    const auto prefix = config::pointer_to("/upstreams", place) + "/";
    const bool is_stuck = std::ranges::any_of(
        changes, [&](const auto& change) { return !change.live && change.pointer.starts_with(prefix); });
    if (is_stuck && config::is_made(candidate.upstreams[place])) stuck.push_back(candidate.upstreams[place].name);
  }
  if (stuck.empty()) return changes;
  std::erase_if(candidate.upstreams,
                [&](const auto& one) { return std::ranges::find(stuck, one.name) != stuck.end(); });
  changes = config::plan(before, candidate);
  check_places(candidate, changes);
  return changes;
}

std::expected<ApplyConfig, std::string> Refresh::make_upstream(const config::UpstreamSettings& made,
                                                               std::string_view model) {
  const auto index = static_cast<std::uint32_t>(upstreams_.size());
  auto& spare_places = spare_places_[engine::shard_of(index, shards())];
  auto places_left = spare_places;
  if (auto why = why_not_added(made, places_left); !why.empty()) return std::unexpected(std::move(why));
  next_config_ = std::make_shared<config::Config>(*config_);
  next_config_->upstreams.push_back(made);
  if (const auto room = check_rows(); !room) {
    next_config_.reset();
    return std::unexpected(room.error());
  }
  const auto at = std::ranges::find(config_->upstreams, model, &config::UpstreamSettings::name);
  Upstream upstream{.place = upstreams_[static_cast<std::size_t>(at - config_->upstreams.begin())].place,
                    .session_places = mux::session_places(made),
                    .tls_client = nullptr,
                    .contents = {}};
  auto client = make_tls_client(made.tls, {.index = upstream.place}, upstream);
  if (!client) {
    next_config_.reset();
    return std::unexpected(client.error().message);
  }
  spare_places = places_left;
  for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i].taken = rows_taken(*next_config_, i);
  config_ = std::exchange(next_config_, nullptr);
  upstreams_.push_back(upstream);
  ApplyConfig order{.config = config_, .upstreams = {}, .groups_added = {}, .groups_removed = {}, .is_answered = false};
  order.upstreams.push_back({.kind = ApplyConfig::Kind::added, .index = index, .tls_client = std::move(*client)});
  return order;
}

}  // namespace tlsmux::engine
