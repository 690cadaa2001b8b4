#include "ports/book/port_plan.hpp"

#include <algorithm>

namespace tlsmux::ports {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

void add_range(PortPlan& plan, const config::DynamicPortSettings& range) {
  for (const auto protocol : kProtocols) {
    if (includes(range.protocols, protocol)) {
      plan.dynamic[index_of(protocol)].add(PortRange{.from = range.from, .to = range.to});
    }
  }
}

void add_static(PortPlan& plan, const config::StaticPortSettings& port) {
  for (const auto protocol : kProtocols) {
    if (!includes(port.protocol, protocol)) continue;
    plan.static_ports.push_back(
        {.port = {.protocol = protocol, .number = port.port}, .label = port.label, .program = port.program});
    plan.dynamic[index_of(protocol)].remove(port.port);
  }
}

}  // namespace

bool PortPlan::contains(Port port) const {
  return dynamic[index_of(port.protocol)].contains(port.number) ||
         std::ranges::find(static_ports, port, &StaticPort::port) != static_ports.end();
}

PortSet PortPlan::all(Protocol protocol) const {
  auto set = dynamic[index_of(protocol)];
  for (const auto& each : static_ports) {
    if (each.port.protocol == protocol) set.add(each.port.number);
  }
  return set;
}

PortPlan make_plan(const config::GroupSettings& group) {
  PortPlan plan;
  plan.service = group.name;
  plan.per_process_max = group.ports.per_process_max;
  plan.free_min = group.ports.free_min;
  plan.leases_per_process = group.ports.leases_per_process;
  plan.reuse_delay_ns = group.ports.reuse_delay_ms * kNsPerMs;
  for (const auto& range : group.ports.dynamic) add_range(plan, range);
  for (const auto& port : group.ports.static_ports) add_static(plan, port);
  return plan;
}

}  // namespace tlsmux::ports
