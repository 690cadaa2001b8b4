#include "ports/enforcement/enforcement_order.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "config/identity.hpp"
#include "config/json/json_pointer.hpp"
#include "ports/book/port_plan.hpp"

namespace tlsmux::ports {
namespace {

bool engine_uses(const config::Config& config, const std::string& group) {
  return std::ranges::any_of(config.upstreams,
                             [&](const auto& upstream) { return upstream.tcp.source_ports == group; });
}

std::vector<Port> ports_of(const PortPlan& plan) {
  std::vector<Port> ports;
  for (const auto protocol : kProtocols) {
    for (const auto range : plan.all(protocol).ranges()) {
      for (std::uint32_t number = range.from; number <= range.to; ++number) {
        ports.push_back({.protocol = protocol, .number = static_cast<std::uint16_t>(number)});
      }
    }
  }
  return ports;
}

}  // namespace

PortSet EnforcementOrder::guarded_ports() const {
  PortSet ports;
  for (const auto& service : guarded.services) {
    for (const auto& port : service.ports) ports.add(port.number);
  }
  return ports;
}

std::expected<EnforcementOrder, config::ConfigErrors> make_order(const config::Config& config, uid_t engine_uid) {
  EnforcementOrder order;
  config::ConfigErrors errors;
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const auto& group = config.groups[i];
    const auto& wanted = group.ports.enforcement;
    if (!wanted.reservation && !wanted.guard) continue;
    const auto plan = make_plan(group);
    // The guard is never there without the reservation.
    for (const auto protocol : kProtocols) order.reserved |= plan.all(protocol);
    if (!wanted.guard) continue;
    auto members = config::resolve_membership(group, config::pointer_to("/groups", i));
    if (!members) {
      std::ranges::move(members.error(), std::back_inserter(errors));
      continue;
    }
    if (engine_uses(config, group.name)) members->users.push_back(engine_uid);
    order.guarded.services.push_back({.name = group.name,
                                      .users = std::move(members->users),
                                      .unix_groups = std::move(members->groups),
                                      .ports = ports_of(plan)});
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return order;
}

}  // namespace tlsmux::ports
