// Ports that the engine's own connections are made from.

#include <algorithm>

#include "config/session_places.hpp"
#include "engine/ports/port_desk.hpp"

namespace tlsmux::engine {

std::vector<std::uint16_t> PortDesk::source_ports(std::uint32_t upstream, const config::UpstreamSettings& settings) {
  heed_new_plans();
  const std::size_t count = std::size_t{config::kSourcePortsPerPlace} * config::session_places(settings);
  auto& own = source_ports_[upstream];
  if (own.group != settings.tcp.source_ports) {
    drop_source_ports(upstream);
    source_ports_[upstream].group = settings.tcp.source_ports;
  }
  auto& ports = source_ports_[upstream].ports;
  const auto place = std::ranges::find_if(
      groups_, [&](const auto& group) { return group && group->name() == settings.tcp.source_ports; });
  if (place == groups_.end()) return {};
  claim_source_ports(static_cast<std::size_t>(place - groups_.begin()), count, ports);
  if (ports.size() < count) {
    log_.warning("source_ports_few", {{"upstream", settings.name},
                                      {"group", settings.tcp.source_ports},
                                      {"wanted", count},
                                      {"claimed", ports.size()},
                                      {"needs", "more dynamic TCP ports in the group's ranges"}});
  }
  return ports;
}

// Until there are so many.
void PortDesk::claim_source_ports(std::size_t place, std::size_t count, std::vector<std::uint16_t>& ports) {
  auto& group = *groups_[place];
  ports::ClaimOrder order{.kind = shm::PortClaimKind::number,
                          .protocol = ports::Protocol::tcp,
                          .number = 0,
                          .label = {},
                          .owner = settings_.engine,
                          .flags = shm::kPortEngine};
  // Those of a dead engine first: what the kernel keeps of their connections is in nobody else's way then.
  for (auto& before = source_ports_before_[place]; !before.empty() && ports.size() < count; before.pop_back()) {
    order.number = before.back();
    if (group.book().find({.protocol = order.protocol, .number = order.number}) != nullptr) continue;
    if (!group.book().plan().dynamic[index_of(order.protocol)].contains(order.number)) continue;
    if (const auto port = group.book().claim(order, world_.now_ns())) ports.push_back(*port);
  }
  order.kind = shm::PortClaimKind::dynamic;
  order.number = 0;
  while (ports.size() < count && group.tables().has_room()) {
    const auto port = group.book().claim(order, world_.now_ns());
    if (!port) break;
    ports.push_back(*port);
    publish(group);
  }
  publish(group);
}

// They are free once no connection has them any more.
void PortDesk::drop_source_ports(std::uint32_t upstream) {
  const auto own = source_ports_.extract(upstream);
  if (own.empty()) return;
  const auto place =
      std::ranges::find_if(groups_, [&](const auto& group) { return group && group->name() == own.mapped().group; });
  if (place == groups_.end()) return;
  for (const auto number : own.mapped().ports) {
    (*place)->book().release({.protocol = ports::Protocol::tcp, .number = number}, settings_.engine, false,
                             world_.now_ns());
  }
  publish(**place);
}

}  // namespace tlsmux::engine
