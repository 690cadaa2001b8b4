#include "client/cli/ports_report.hpp"

#include <algorithm>

#include "client/cli/status_report.hpp"
#include "shm/control_protocol.hpp"
#include "shm/row.hpp"

namespace tlsmux::client::cli {
namespace {

using shm::PortEnforcement;

std::optional<ports::Protocol> protocol_of(std::uint32_t bit) {
  for (const auto protocol : ports::kProtocols) {
    if (bit == ports::bit_of(protocol)) return protocol;
  }
  return std::nullopt;
}

void read_rules(const shm::GroupView& view, PortRulesReport& rules) {
  for (std::uint32_t i = 0; i < view.port_rules().size(); ++i) {
    shm::PortConfigurationRow row;
    if (!shm::read_row(view.port_rules()[i], row)) continue;
    switch (row.kind) {
      case shm::PortRuleKind::none: break;
      case shm::PortRuleKind::user: rules.users.push_back({.number = row.account}); break;
      case shm::PortRuleKind::unix_group: rules.unix_groups.push_back({.number = row.account}); break;
      case shm::PortRuleKind::static_port:
        rules.static_ports.push_back({.port = row.from,
                                      .protocols = row.protocols,
                                      .label = std::string(shm::text_of(row.label)),
                                      .program = std::string(shm::text_of(row.program))});
        break;
      case shm::PortRuleKind::dynamic_range:
        rules.dynamic.push_back({.from = row.from, .to = row.to, .protocols = row.protocols});
        break;
    }
  }
  std::ranges::stable_sort(rules.static_ports, {}, &StaticPortReport::port);
  std::ranges::stable_sort(rules.dynamic, {}, &DynamicPortsReport::from);
}

void read_ports(const shm::GroupView& view, std::vector<PortReport>& ports) {
  for (std::uint32_t i = 0; i < view.ports().size(); ++i) {
    shm::PortRow row;
    if (!shm::read_row(view.ports()[i], row) || row.state == shm::PortState::free) continue;
    const auto protocol = protocol_of(row.protocol);
    if (!protocol) continue;
    ports.push_back({.port = {.protocol = *protocol, .number = row.port},
                     .state = row.state,
                     .flags = row.flags,
                     .pid = row.pid,
                     .uid = row.uid,
                     .program = std::string(shm::text_of(row.program)),
                     .label = std::string(shm::text_of(row.label)),
                     .pidfd_inode = row.pidfd_inode,
                     .socket_inode = row.socket_inode,
                     .since_s = row.since_s,
                     .until_s = row.until_s});
  }
  std::ranges::sort(ports, {}, &PortReport::port);
}

void read_denials(const shm::GroupView& view, std::vector<PortDenialReport>& denials) {
  for (std::uint32_t i = 0; i < view.port_denials().size(); ++i) {
    shm::PortDenialRow row;
    if (!shm::read_row(view.port_denials()[i], row) || row.number == 0) continue;
    const auto protocol = protocol_of(row.protocol);
    if (!protocol) continue;
    denials.push_back({.number = row.number,
                       .at_s = row.at_s,
                       .port = {.protocol = *protocol, .number = row.port},
                       .pid = row.pid,
                       .uid = row.uid,
                       .gid = row.gid,
                       .program = std::string(shm::text_of(row.program))});
  }
  std::ranges::sort(denials, std::ranges::greater{}, &PortDenialReport::number);
}

void read_summary(const shm::GroupView& view, PortsReport& report) {
  shm::PortSummaryRow row{};
  if (view.port_summaries().size() > 0 && !shm::read_row(view.port_summaries()[0], row)) row.in_use = 0;
  report.dynamic_ports = row.dynamic_ports;
  report.dynamic_free = row.dynamic_free;
  report.claims = row.claims;
  report.claims_refused = row.claims_refused;
  report.denials = row.denials;
  report.denials_lost = row.denials_lost;
  const auto add = [&](std::string_view level, PortEnforcement state, const shm::Text& text) {
    report.levels.push_back({.level = level, .state = state, .text = std::string(shm::text_of(text))});
  };
  add("reservation", row.reservation, row.reservation_text);
  add("holders", row.holders, row.holders_text);
  add("guard", row.guard, row.guard_text);
}

}  // namespace

PortsReport read_port_tables(const ObservedGroup& observed, std::uint64_t now_ns) {
  PortsReport report{.engine = engine_facts(observed, now_ns)};
  report.levels.push_back({.level = "api",
                           .state = observed.engine_answers ? PortEnforcement::on : PortEnforcement::missing,
                           .text = observed.engine_answers ? "" : "no engine answers"});
  read_rules(observed.view, report.rules);
  read_ports(observed.view, report.ports);
  read_denials(observed.view, report.last_denials);
  read_summary(observed.view, report);
  return report;
}

std::uint32_t count_differences(const PortsReport& report) {
  std::size_t count = 0;
  for (const auto& port : report.ports) count += port.differences.size();
  return static_cast<std::uint32_t>(count);
}

std::string_view state_name(shm::PortState state) {
  switch (state) {
    case shm::PortState::free: return "free";
    case shm::PortState::leased: return "leased";
    case shm::PortState::claimed: return "claimed";
    case shm::PortState::bound: return "bound";
    case shm::PortState::orphan: return "orphan";
    case shm::PortState::quarantine: return "quarantine";
    case shm::PortState::external: return "external";
  }
  return "unknown";
}

std::string_view state_name(PortEnforcement state) {
  switch (state) {
    case PortEnforcement::off: return "off";
    case PortEnforcement::on: return "on";
    case PortEnforcement::missing: return "missing";
  }
  return "unknown";
}

std::vector<std::string_view> flag_names(std::uint8_t flags) {
  std::vector<std::string_view> names;
  if ((flags & shm::kPortStatic) != 0) names.emplace_back("static");
  if ((flags & shm::kPortGrandfathered) != 0) names.emplace_back("grandfathered");
  if ((flags & shm::kPortObserved) != 0) names.emplace_back("observed");
  if ((flags & shm::kPortEngine) != 0) names.emplace_back("engine");
  return names;
}

std::vector<std::string_view> protocol_names(std::uint32_t protocols) {
  std::vector<std::string_view> names;
  for (const auto protocol : ports::kProtocols) {
    if ((protocols & ports::bit_of(protocol)) != 0) names.push_back(ports::name(protocol));
  }
  return names;
}

}  // namespace tlsmux::client::cli
