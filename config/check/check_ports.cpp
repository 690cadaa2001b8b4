#include "config/check/check_ports.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/session_places.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::array kProtocols{PortProtocols::tcp, PortProtocols::udp};

constexpr bool includes(PortProtocols protocols, PortProtocols protocol) {
  return protocol == PortProtocols::tcp ? includes_tcp(protocols) : includes_udp(protocols);
}

constexpr std::string_view shown(PortProtocols protocol) { return protocol == PortProtocols::tcp ? "TCP" : "UDP"; }

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

// A static port or a range.
struct Entry {
  std::size_t group = 0;
  std::string pointer;
  bool is_static = false;
  std::uint16_t from = 0;
  std::uint16_t to = 0;
};

// Whose each port is, as far as the entries so far say.
class PortMap {
 public:
  PortMap(const Config& config, Findings& findings) : config_(config), findings_(findings) {}

  void add(const Entry& entry, PortProtocols protocols) {
    entries_.push_back(entry);
    for (const PortProtocols protocol : kProtocols) {
      if (includes(protocols, protocol) && !add_to(entry, protocol)) return;  // one error for each entry
    }
  }

 private:
  using Owners = std::vector<std::uint32_t>;  // by port: an index of entries_, plus one; 0: nobody's

  Owners& owners(PortProtocols protocol, bool is_static) {
    return owners_[(protocol == PortProtocols::tcp ? 0U : 2U) + (is_static ? 1U : 0U)];
  }

  bool add_to(const Entry& entry, PortProtocols protocol) {
    for (std::uint32_t port = entry.from; port <= entry.to; ++port) {
      for (const bool is_static : {false, true}) {
        const std::uint32_t owner = owners(protocol, is_static)[port];
        if (owner != 0 && clashes(entry, entries_[owner - 1], protocol, port)) return false;
      }
      owners(protocol, entry.is_static)[port] = static_cast<std::uint32_t>(entries_.size());
    }
    return true;
  }

  bool clashes(const Entry& entry, const Entry& other, PortProtocols protocol, std::uint32_t port) {
    const std::string which = "port " + std::to_string(port) + " (" + std::string(shown(protocol)) + ")";
    if (entry.group != other.group) {
      findings_.add(entry.pointer,
                    which + " is group " + in_quotes(config_.groups[other.group].name) + "'s already, by " +
                        other.pointer + "; give each port to one group",
                    {other.pointer});
      return true;
    }
    if (entry.is_static != other.is_static) return false;
    if (entry.is_static) {
      findings_.add(entry.pointer, which + " stands at " + other.pointer + " already; remove one of the two",
                    {other.pointer});
    } else {
      findings_.add(entry.pointer, "has " + which + " in common with " + other.pointer + "; join the two, or move one",
                    {other.pointer});
    }
    return true;
  }

  const Config& config_;
  Findings& findings_;
  std::vector<Entry> entries_;
  std::array<Owners, 4> owners_{Owners(65536), Owners(65536), Owners(65536), Owners(65536)};
};

void check_whose(const Config& config, Findings& findings) {
  PortMap map(config, findings);
  for (std::size_t group = 0; group < config.groups.size(); ++group) {
    const PortSettings& ports = config.groups[group].ports;
    const std::string pointer = pointer_to(pointer_to("/groups", group), "ports");
    for (std::size_t i = 0; i < ports.dynamic.size(); ++i) {
      const DynamicPortSettings& range = ports.dynamic[i];
      const std::string entry = pointer_to(pointer_to(pointer, "dynamic"), i);
      if (range.from > range.to) {
        findings.add(pointer_to(entry, "from"),
                     "is " + std::to_string(range.from) + ", more than \"to\", which is " + std::to_string(range.to),
                     {pointer_to(entry, "to")});
        continue;
      }
      map.add({.group = group, .pointer = entry, .is_static = false, .from = range.from, .to = range.to},
              range.protocols);
    }
    for (std::size_t i = 0; i < ports.static_ports.size(); ++i) {
      const StaticPortSettings& port = ports.static_ports[i];
      map.add({.group = group,
               .pointer = pointer_to(pointer_to(pointer, "static"), i),
               .is_static = true,
               .from = port.port,
               .to = port.port},
              port.protocol);
    }
  }
}

void check_labels(const PortSettings& ports, const std::string& pointer, Findings& findings) {
  std::map<std::pair<PortProtocols, std::string_view>, std::size_t> seen;
  for (std::size_t i = 0; i < ports.static_ports.size(); ++i) {
    const StaticPortSettings& port = ports.static_ports[i];
    if (port.label.empty()) continue;  // reported already
    for (const PortProtocols protocol : kProtocols) {
      if (!includes(port.protocol, protocol)) continue;
      const auto [first, is_new] = seen.try_emplace({protocol, port.label}, i);
      if (is_new) continue;
      const std::string list = pointer_to(pointer, "static");
      const std::string other = pointer_to(pointer_to(list, first->second), "label");
      findings.add(pointer_to(pointer_to(list, i), "label"),
                   in_quotes(port.label) + " is the label of another " + std::string(shown(protocol)) + " port, at " +
                       other + "; each needs its own",
                   {other});
      break;
    }
  }
}

// Where ranges are wrong, counting them says nothing.
void check_counts(const PortSettings& ports, const std::string& pointer, Findings& findings) {
  const std::string dynamic = pointer_to(pointer, "dynamic");
  const std::string statics = pointer_to(pointer, "static");
  std::size_t dynamic_total = 0;
  for (const PortProtocols protocol : kProtocols) {
    const std::size_t count = dynamic_ports(ports, protocol).count();
    dynamic_total += count;
    if (count == 0 || ports.free_min <= count) continue;
    findings.add(pointer_to(pointer, "free_min"),
                 "is " + std::to_string(ports.free_min) + ", but the group has " +
                     counted(count, "dynamic " + std::string(shown(protocol)) + " port") + "; lower it, or widen " +
                     dynamic,
                 {dynamic, statics});
    break;
  }
  std::size_t total = dynamic_total;
  for (const StaticPortSettings& port : ports.static_ports) total += port.protocol == PortProtocols::both ? 2 : 1;
  if (total > kPortsPerGroupMax) {
    findings.add(pointer,
                 "the group has " + std::to_string(total) +
                     " ports, those of TCP and of UDP counted together; the most is " +
                     std::to_string(kPortsPerGroupMax) + "; narrow its ranges, or give them one protocol",
                 {});
  }
  const auto check_without = [&](std::string_view key, std::uint32_t value) {
    if (dynamic_total > 0 || value == 0) return;
    findings.add(pointer_to(pointer, key), "means nothing without dynamic ports; remove it, or add " + dynamic,
                 {dynamic});
  };
  check_without("per_process_max", ports.per_process_max);
  check_without("free_min", ports.free_min);
  if (dynamic_total > 0 && ports.per_process_max > dynamic_total) {
    findings.add(pointer_to(pointer, "per_process_max"),
                 "is " + std::to_string(ports.per_process_max) + ", but the group has " +
                     counted(dynamic_total, "dynamic port") + " in all; lower it, or set it to 0 for no limit",
                 {dynamic, statics});
  }
}

void check_enforcement(const GroupSettings& group, const std::string& group_pointer, Findings& findings) {
  const PortEnforcementSettings& enforcement = group.ports.enforcement;
  const std::string pointer = pointer_to(pointer_to(group_pointer, "ports"), "enforcement");
  const std::string guard = pointer_to(pointer, "guard");
  const std::string holders = pointer_to(pointer, "holders");
  if (enforcement.guard && !enforcement.reservation) {
    findings.add(pointer_to(pointer, "reservation"),
                 "must be true where guard is: the kernel would go on choosing these ports for other programs, and the "
                 "guard would refuse them",
                 {guard});
  }
  if (enforcement.guard && enforcement.holders) {
    findings.add(holders,
                 "is superfluous where guard is true: the guard stops all that holders stop, and would refuse the "
                 "holders' own sockets; set one of the two to false",
                 {guard});
    return;
  }
  if (enforcement.holders && (group.users.size() != 1 || !group.unix_groups.empty())) {
    findings.add(
        holders,
        "needs a group of one user, since a port that is held can be bound by that user alone; the group has " +
            counted(group.users.size(), "user") + " and " + counted(group.unix_groups.size(), "Unix group") +
            ": give one entry in \"users\" and none in \"unix_groups\", or use the guard",
        {pointer_to(group_pointer, "users"), pointer_to(group_pointer, "unix_groups")});
  }
}

// What upstreams take out of one group.
struct Demand {
  std::uint64_t ports = 0;
  bool reported = false;
};

void check_source_ports(const Config& config, std::size_t index, std::map<std::size_t, Demand>& demands,
                        Findings& findings) {
  const UpstreamSettings& upstream = config.upstreams[index];
  const std::string& name = upstream.tcp.source_ports;
  if (name.empty()) return;
  const std::string upstream_pointer = pointer_to("/upstreams", index);
  const std::string pointer = pointer_to(pointer_to(upstream_pointer, "tcp"), "source_ports");
  const auto found = std::ranges::find(config.groups, name, &GroupSettings::name);
  if (found == config.groups.end()) {
    std::vector<std::string_view> names;
    for (const GroupSettings& group : config.groups) {
      if (!group.name.empty()) names.push_back(group.name);
    }
    if (names.size() == config.groups.size() && !names.empty()) {
      findings.add(pointer, "no group is named " + in_quotes(name) + "; " + suggestion(name, names));
    }
    return;
  }
  const std::string groups = pointer_to(upstream_pointer, "groups");
  if (std::ranges::find(upstream.groups, name) == upstream.groups.end()) {
    return findings.add(pointer,
                        "group " + in_quotes(name) + " may not use this upstream; add it to " + groups +
                            ", or name a group of that list",
                        {groups});
  }
  const auto group = static_cast<std::size_t>(found - config.groups.begin());
  const std::string dynamic = pointer_to(pointer_to(pointer_to("/groups", group), "ports"), "dynamic");
  const std::size_t available = dynamic_ports(found->ports, PortProtocols::tcp).count();
  Demand& demand = demands[group];
  const std::uint64_t own = std::uint64_t{session_places(upstream)} * kSourcePortsPerPlace;
  demand.ports += own;
  if (demand.ports <= available || demand.reported) return;
  demand.reported = true;
  const std::string all =
      demand.ports == own ? "" : ", and " + std::to_string(demand.ports) + " with upstreams before it";
  findings.add(pointer,
               "takes " + std::to_string(own) + " ports" + all +
                   " (two for each session that there may be at one time), " + "but group " + in_quotes(name) +
                   " has " + counted(available, "dynamic TCP port") + "; widen " + dynamic +
                   ", or lower \"sessions\" or \"sessions_max\"",
               {dynamic, pointer_to(upstream_pointer, "sessions"), pointer_to(upstream_pointer, "sessions_max")});
}

}  // namespace

PortBits dynamic_ports(const PortSettings& ports, PortProtocols protocol) {
  PortBits bits;
  for (const DynamicPortSettings& range : ports.dynamic) {
    if (!includes(range.protocols, protocol)) continue;
    for (std::uint32_t port = range.from; port <= range.to; ++port) bits.set(port);
  }
  for (const StaticPortSettings& port : ports.static_ports) {
    if (includes(port.protocol, protocol)) bits.reset(port.port);
  }
  return bits;
}

void check_ports(const Config& config, Findings& findings) {
  check_whose(config, findings);
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const std::string group = pointer_to("/groups", i);
    const PortSettings& ports = config.groups[i].ports;
    const std::string pointer = pointer_to(group, "ports");
    check_labels(ports, pointer, findings);
    check_counts(ports, pointer, findings);
    check_enforcement(config.groups[i], group, findings);
  }
  std::map<std::size_t, Demand> demands;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) check_source_ports(config, i, demands, findings);
}

}  // namespace tlsmux::config
