#include "config/check/check_shares.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "config/check/findings.hpp"
#include "config/json/json_pointer.hpp"
#include "config/leases.hpp"
#include "config/session_places.hpp"

namespace tlsmux::config {
namespace {

Problem share_problem(std::uint32_t limit, std::size_t groups) {
  if (groups < 2 || limit >= 2 * groups) return std::nullopt;
  return "of " + std::to_string(limit) + " no part is kept for each of " + std::to_string(groups) +
         " groups: one of them may have all; from " + std::to_string(2 * groups) + " on each has a part of its own";
}

}  // namespace

ConfigErrors find_shares_of_none(const Config& config) {
  Findings findings({});
  if (!std::ranges::all_of(config.upstreams, leases_sessions)) {
    findings.add_problem("/engine/in_flight_max", share_problem(config.engine.in_flight_max, config.groups.size()));
  }
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const auto& upstream = config.upstreams[i];
    const auto pointer = pointer_to("/upstreams", i);
    const auto groups = upstream.groups.size();
    findings.add_problem(pointer + "/streams/open_max", share_problem(upstream.streams.open_max, groups));
    if (!leases_sessions(upstream)) continue;
    const auto* const setting = upstream.sessions_max < upstream.sessions ? "/sessions" : "/sessions_max";
    findings.add_problem(pointer + setting, share_problem(sessions_max(upstream), groups));
  }
  return std::move(findings).take();
}

}  // namespace tlsmux::config
