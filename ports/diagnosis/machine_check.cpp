#include "ports/diagnosis/machine_check.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "config/identity.hpp"
#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"
#include "ports/book/port_plan.hpp"
#include "ports/book/port_set.hpp"
#include "ports/diagnosis/live_groups.hpp"
#include "ports/diagnosis/process_identity.hpp"
#include "ports/diagnosis/socket_diagnosis.hpp"
#include "ports/diagnosis/socket_owner.hpp"

namespace tlsmux::ports {
namespace {

// Those of engines that are neither the caller's nor the one that serves this configuration now.
std::vector<LiveGroup> groups_of_others(const config::Config& config, std::span<const std::string> own_groups) {
  auto groups = find_live_groups();
  const auto is_own = [&](const LiveGroup& group) {
    return std::ranges::find(own_groups, group.name) != own_groups.end() ||
           std::ranges::find(config.groups, group.name, &config::GroupSettings::name) != config.groups.end();
  };
  std::vector<shm::BootId> own_engines;
  for (const auto& group : groups) {
    if (is_own(group)) own_engines.push_back(group.boot_id);
  }
  std::erase_if(groups, [&](const LiveGroup& group) {
    return is_own(group) || !group.is_trusted || !group.is_in_this_network ||
           std::ranges::find(own_engines, group.boot_id) != own_engines.end();
  });
  return groups;
}

class OverlapSearch {
 public:
  explicit OverlapSearch(std::vector<LiveGroup> others) : others_(std::move(others)) {}

  void look_at(const config::GroupSettings& group, const std::string& pointer) {
    const auto fixed = config::pointer_to(config::pointer_to(pointer, "ports"), "static");
    for (std::size_t i = 0; i < group.ports.static_ports.size(); ++i) {
      const auto& entry = group.ports.static_ports[i];
      look_at({.from = entry.port, .to = entry.port}, entry.protocol, config::pointer_to(fixed, i));
    }
    const auto dynamic = config::pointer_to(config::pointer_to(pointer, "ports"), "dynamic");
    for (std::size_t i = 0; i < group.ports.dynamic.size(); ++i) {
      const auto& entry = group.ports.dynamic[i];
      look_at({.from = entry.from, .to = entry.to}, entry.protocols, config::pointer_to(dynamic, i));
    }
  }

  config::ConfigErrors take() { return std::move(errors_); }

 private:
  void look_at(PortRange range, config::PortProtocols protocols, const std::string& pointer) {
    PortSet wanted;
    wanted.add(range);
    for (const auto& other : others_) {
      for (const auto protocol : kProtocols) {
        PortSet both = wanted;
        both &= other.ports[index_of(protocol)];
        if (!includes(protocols, protocol) || both.empty()) continue;
        errors_.push_back({.pointer = pointer,
                           .message = both.text() + "/" + std::string(name(protocol)) + " belongs to group " +
                                      config::in_quotes(other.name) + " of the engine with pid " +
                                      std::to_string(other.engine_pid) +
                                      ", which runs on this machine: give other ports, or take them from that group"});
      }
    }
  }

  std::vector<LiveGroup> others_;
  config::ConfigErrors errors_;
};

std::optional<uid_t> engine_uid_of(const config::EngineSettings& engine) {
  if (engine.user.empty()) return ::geteuid();
  const auto uid = config::resolve_user(engine.user);
  return uid ? std::optional(*uid) : std::nullopt;
}

// What is not a member's: in the order of the ports, of each only one.
class StrangerSearch {
 public:
  StrangerSearch(const config::Config& config, SocketDiagnosis diagnosis)
      : config_(config), diagnosis_(std::move(diagnosis)) {}

  void look_at(const config::GroupSettings& group) {
    auto members = config::resolve_membership(group, "");
    if (!members) return;  // said elsewhere
    const bool engine_uses = std::ranges::any_of(
        config_.upstreams, [&](const auto& upstream) { return upstream.tcp.source_ports == group.name; });
    if (const auto engine = engine_uid_of(config_.engine); engine_uses && engine) members->users.push_back(*engine);
    const auto plan = make_plan(group);
    for (const auto protocol : kProtocols) {
      const auto ports = plan.all(protocol);
      if (ports.empty()) continue;
      const auto sockets = diagnosis_.sockets(protocol, ports);
      if (sockets) look_at(group, *members, *sockets);
    }
  }

  std::vector<PortInUse> take() {
    std::vector<PortInUse> all;
    all.reserve(found_.size());
    for (auto& [port, found] : found_) all.push_back(std::move(found));
    return all;
  }

 private:
  void look_at(const config::GroupSettings& group, const config::Membership& members,
               const std::vector<SocketFact>& sockets) {
    std::vector<SocketFact> foreign;
    std::vector<std::uint64_t> inodes;
    for (const auto& socket : sockets) {
      // Nobody has it any more; or it is a member's, or one that tlsmuxd holds in a member's name.
      if (socket.is_time_wait || socket.inode == 0 || members.is_member(socket.uid, {})) continue;
      foreign.push_back(socket);
      inodes.push_back(socket.inode);
    }
    if (foreign.empty()) return;
    const auto owners = find_socket_owners(inodes);
    for (const auto& socket : foreign) {
      const auto owner = std::ranges::find(owners, socket.inode, &SocketOwner::socket_inode);
      PortInUse use{.port = socket.port, .group = group.name, .uid = socket.uid, .is_listening = socket.is_listening};
      if (owner != owners.end()) {
        if (is_member(members, owner->pid)) continue;
        use.pid = owner->pid;
        use.uid = owner->uid;
        use.program = owner->program;
      }
      keep(std::move(use));
    }
  }

  static bool is_member(const config::Membership& members, std::uint32_t pid) {
    const auto process = identify_process(static_cast<pid_t>(pid));
    return process && members.is_member(process->uid, process->gids);
  }

  // A server says more than its connections.
  void keep(PortInUse use) {
    const auto [at, is_new] = found_.try_emplace(use.port, use);
    if (!is_new && use.is_listening && !at->second.is_listening) at->second = std::move(use);
  }

  const config::Config& config_;
  SocketDiagnosis diagnosis_;
  std::map<Port, PortInUse> found_;
};

}  // namespace

std::string PortInUse::text() const {
  auto text = "port " + std::to_string(port.number) + "/" + std::string(name(port.protocol)) + " of group " + group +
              " is held by ";
  text += pid != 0 ? config::in_quotes(program) + " (pid " + std::to_string(pid) + ", uid " + std::to_string(uid) + ")"
                   : "a process of uid " + std::to_string(uid);
  return text + ", which is no member: it is given to nobody until that ends";
}

MachineFindings check_machine(const config::Config& config, std::span<const std::string> own_groups) {
  MachineFindings findings;
  const bool has_ports = std::ranges::any_of(config.groups, [](const auto& group) {
    return !group.ports.static_ports.empty() || !group.ports.dynamic.empty();
  });
  if (!has_ports) return findings;
  OverlapSearch overlaps(groups_of_others(config, own_groups));
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    overlaps.look_at(config.groups[i], config::pointer_to("/groups", i));
  }
  findings.errors = overlaps.take();
  if (auto diagnosis = SocketDiagnosis::open()) {
    StrangerSearch strangers(config, std::move(*diagnosis));
    for (const auto& group : config.groups) strangers.look_at(group);
    findings.in_use = strangers.take();
  }
  return findings;
}

}  // namespace tlsmux::ports
