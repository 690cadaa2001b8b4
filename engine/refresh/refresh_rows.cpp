// Whether the groups' tables, which are made once, have room for another configuration.

#include <algorithm>

#include "config/made_upstreams.hpp"
#include "engine/refresh/refresh.hpp"
#include "engine/shard/status_board.hpp"

namespace tlsmux::engine {
namespace {

bool may_use(const config::UpstreamSettings& upstream, const std::string& group) {
  return !upstream.name.empty() && std::ranges::find(upstream.groups, group) != upstream.groups.end();
}

}  // namespace

// For the groups that have none yet, as group_tables() gives them.
void Refresh::add_rows() {
  for (auto i = rows_.size(); i < config_->groups.size(); ++i) {
    auto& rows = rows_.emplace_back();
    rows.taken = rows_taken(*config_, i);
    rows.count = static_cast<std::size_t>(std::ranges::count(rows.taken, true)) + spare_upstream_rows(*config_);
    rows.ports = port_rows_made(config_->groups[i]);
  }
}

// By upstream, whether the group has a row for it, now or since earlier: they are never given back.
std::vector<bool> Refresh::rows_taken(const config::Config& config, std::size_t group) const {
  auto taken = rows_[group].taken;
  taken.resize(config.upstreams.size());
  for (std::size_t i = 0; i < taken.size(); ++i) {
    taken[i] = taken[i] || may_use(config.upstreams[i], config.groups[group].name);
  }
  return taken;
}

std::expected<void, std::string> Refresh::check_rows() const {
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const auto& group = next_config_->groups[i];
    if (group.name.empty()) continue;
    if (auto room = check_port_rows(group, rows_[i].ports); !room) return std::unexpected(room.error() + "\n");
    const auto taken = rows_taken(*next_config_, i);
    if (static_cast<std::size_t>(std::ranges::count(taken, true)) <= rows_[i].count) continue;
    return std::unexpected(
        "group " + group.name + ": its tables have room for " + std::to_string(rows_[i].count) +
        " upstreams, those that were removed since the engine was started included; restart tlsmuxd\n");
  }
  return {};
}

}  // namespace tlsmux::engine
