#include "client/cli/ports_compare.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "client/cli/table.hpp"

namespace tlsmux::client::cli {
namespace {

using shm::PortState;

// Of one port, the sockets that hold it.
using Sockets = std::vector<const ports::SocketFact*>;

class Comparison {
 public:
  Comparison(PortsReport& report, const KernelFacts& facts) : report_(report), facts_(facts) {
    for (const auto& each : facts.owners) owners_[each.socket_inode].push_back(&each);
    holders_are_on_ = std::ranges::any_of(report.levels, [](const auto& level) {
      return level.level == "holders" && level.state == shm::PortEnforcement::on;
    });
  }

  void run() {
    std::map<ports::Port, Sockets> by_port;
    for (const auto& each : facts_.sockets) by_port[each.port].push_back(&each);
    for (auto& port : report_.ports) {
      const auto found = by_port.extract(port.port);
      describe(port, found.empty() ? Sockets{} : found.mapped());
      judge(port);
    }
    for (const auto& [port, sockets] : by_port) {
      PortReport unknown{.port = port};
      describe(unknown, sockets);
      if (!*unknown.is_held) continue;
      judge(unknown);
      report_.ports.push_back(std::move(unknown));
    }
    std::ranges::sort(report_.ports, {}, &PortReport::port);
  }

 private:
  // What the kernel says of it.
  void describe(PortReport& port, const Sockets& sockets) {
    std::map<std::uint32_t, const ports::SocketOwner*> pids;
    for (const auto* socket : sockets) {
      if (socket->is_time_wait) continue;
      const auto owners = owners_.find(socket->inode);
      if (is_holder_socket(port, *socket, owners == owners_.end() ? nullptr : owners->second.front())) {
        ++report_.holder_sockets;
        continue;
      }
      ++port.sockets;
      port.is_listening = port.is_listening || socket->is_listening;
      if (owners == owners_.end()) {
        port.hidden_uids.push_back(socket->uid);
        ++report_.sockets_hidden;
        continue;
      }
      for (const auto* owner : owners->second) pids.emplace(owner->pid, owner);
    }
    for (const auto& [pid, owner] : pids) port.holders.push_back(holder(port, *owner));
    std::ranges::sort(port.hidden_uids);
    const auto twice = std::ranges::unique(port.hidden_uids);
    port.hidden_uids.erase(twice.begin(), twice.end());
    port.is_held = port.sockets > 0;
    port.lingers = !*port.is_held && !sockets.empty();
    const bool may_be_unseen = port.port.protocol == ports::Protocol::tcp && !facts_.sees_bound_sockets;
    if (!*port.is_held && may_be_unseen) port.is_held = std::nullopt;
  }

  // Those of the level "holders" are the broker's, bound and no more. Where the broker's sockets cannot be seen, it is
  // one if it does not listen and is not the table's.
  [[nodiscard]] bool is_holder_socket(const PortReport& port, const ports::SocketFact& socket,
                                      const ports::SocketOwner* owner) const {
    if (!holders_are_on_ || socket.is_listening || port.port.protocol != ports::Protocol::tcp) return false;
    if (owner != nullptr) return facts_.broker_pid != 0 && owner->pid == facts_.broker_pid;
    return socket.inode != port.socket_inode;
  }

  [[nodiscard]] PortHolderReport holder(const PortReport& port, const ports::SocketOwner& owner) const {
    return {.pid = owner.pid,
            .uid = owner.uid,
            .program = owner.program,
            .pidfd_inode = owner.pidfd_inode,
            .is_member = is_member(owner.pid),
            .is_descendant = port.pid != 0 && descends_from(owner.pid, port.pid)};
  }

  [[nodiscard]] std::optional<bool> is_member(std::uint32_t pid) const {
    const auto process = facts_.processes.find(pid);
    if (process == facts_.processes.end()) return std::nullopt;
    const auto names = [](const std::vector<PortAccount>& accounts, std::uint32_t number) {
      return std::ranges::find(accounts, number, &PortAccount::number) != accounts.end();
    };
    const auto& [uid, gids] = process->second;
    return names(report_.rules.users, uid) ||
           std::ranges::any_of(gids, [&](gid_t gid) { return names(report_.rules.unix_groups, gid); });
  }

  [[nodiscard]] bool descends_from(std::uint32_t pid, std::uint32_t ancestor) const {
    for (auto at = facts_.parents.find(pid); at != facts_.parents.end(); at = facts_.parents.find(at->second)) {
      if (at->second == ancestor) return true;
    }
    return false;
  }

  void judge(PortReport& port) {
    const auto differ = [&](std::string_view code, std::string text) {
      port.differences.push_back({.code = code, .text = std::move(text)});
    };
    if (!port.state) differ("not_in_table", "held by " + holders_text(port) + ", and not in the table");
    if (port.is_held == false && is_bound(port.state)) {
      differ("not_held", "the table says " + std::string(state_name(*port.state)) + " by " + owner_text(port) +
                             ", and no socket holds it");
    }
    if (port.is_held == true && port.state == PortState::quarantine) {
      differ("held_in_quarantine",
             "the table says that nobody has it any more, and it is held by " + holders_text(port));
    }
    if (is_anothers(port)) {
      differ("owner_differs",
             "the table says that it is " + owner_text(port) + "'s, and it is held by " + holders_text(port));
    }
    judge_membership(port, differ);
  }

  template <typename Differ>
  void judge_membership(const PortReport& port, Differ differ) {
    if ((port.flags & (shm::kPortEngine | shm::kPortGrandfathered)) != 0) return;
    bool is_known = false;
    for (const auto& each : port.holders) {
      is_known = is_known || each.is_member.has_value();
      if (each.is_member != false || each.pid == report_.engine.pid || each.pid == facts_.broker_pid) continue;
      differ("stranger", process_text(each.pid, each.program, each.uid) + " is no member of the group");
    }
    if (is_known || port.state != PortState::external || port.is_held == false || port.pid == 0) return;
    differ("stranger", owner_text(port) + " is no member of the group, as the engine says");
  }

  static bool is_bound(std::optional<PortState> state) {
    return state == PortState::bound || state == PortState::orphan || state == PortState::external;
  }

  static bool is_anothers(const PortReport& port) {
    const bool has_owner =
        port.state == PortState::leased || port.state == PortState::claimed || port.state == PortState::bound;
    if (!has_owner || port.pid == 0 || port.holders.empty()) return false;
    return std::ranges::none_of(port.holders,
                                [&](const auto& each) { return is_owner(port, each) || each.is_descendant; });
  }

  // Not a later process with its pid.
  static bool is_owner(const PortReport& port, const PortHolderReport& holder) {
    const bool are_known = port.pidfd_inode != 0 && holder.pidfd_inode != 0;
    return holder.pid == port.pid && (!are_known || holder.pidfd_inode == port.pidfd_inode);
  }

  static std::string process_text(std::uint32_t pid, const std::string& program, std::uint32_t uid) {
    return "pid " + std::to_string(pid) + " (" + escaped(program) + ", uid " + std::to_string(uid) + ")";
  }
  static std::string owner_text(const PortReport& port) {
    return port.pid == 0 ? "an unknown process" : process_text(port.pid, port.program, port.uid);
  }
  static std::string holders_text(const PortReport& port) {
    std::string text;
    for (const auto& each : port.holders) {
      text += (text.empty() ? "" : ", ") + process_text(each.pid, each.program, each.uid);
    }
    for (const auto uid : port.hidden_uids) {
      text += (text.empty() ? "" : ", ") + std::string("a socket of uid ") + std::to_string(uid);
    }
    return text;
  }

  PortsReport& report_;
  const KernelFacts& facts_;
  std::map<std::uint64_t, std::vector<const ports::SocketOwner*>> owners_;  // by socket
  bool holders_are_on_ = false;
};

PortLevelReport preload_level(const KernelFacts& facts) {
  const auto count = facts.preloaded.size();
  if (count == 0) return {.level = "preload", .state = shm::PortEnforcement::off, .text = {}};
  return {.level = "preload",
          .state = shm::PortEnforcement::on,
          .text = "in " + std::to_string(count) + " of the " + std::to_string(facts.processes.size()) +
                  " processes that hold ports"};
}

}  // namespace

void compare(PortsReport& report, const KernelFacts& facts) {
  report.kernel_trouble = facts.trouble;
  report.sees_bound_sockets = facts.sees_bound_sockets;
  report.levels.insert(report.levels.begin() + 1, preload_level(facts));
  if (facts.trouble.empty()) Comparison(report, facts).run();
}

}  // namespace tlsmux::client::cli
