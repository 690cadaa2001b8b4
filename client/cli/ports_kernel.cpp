#include "client/cli/ports_kernel.hpp"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "client/cli/process_facts.hpp"
#include "ports/book/port_set.hpp"
#include "ports/diagnosis/process_identity.hpp"
#include "shm/system/pidfd.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr std::string_view kPreloadLibrary = "libtlsmux_ports.so";

ports::PortSet ports_of(const PortsReport& report, ports::Protocol protocol) {
  ports::PortSet set;
  const auto bit = ports::bit_of(protocol);
  for (const auto& each : report.rules.static_ports) {
    if ((each.protocols & bit) != 0) set.add(each.port);
  }
  for (const auto& each : report.rules.dynamic) {
    if ((each.protocols & bit) != 0 && each.from <= each.to)
      set.add(ports::PortRange{.from = each.from, .to = each.to});
  }
  for (const auto& each : report.ports) {
    if (each.port.protocol == protocol) set.add(each.port.number);
  }
  return set;
}

std::string ask_about_sockets(const PortsReport& report, KernelFacts& facts) {
  auto diagnosis = ports::SocketDiagnosis::open();
  if (!diagnosis) return diagnosis.error().message;
  facts.sees_bound_sockets = diagnosis->sees_bound_sockets();
  for (const auto protocol : ports::kProtocols) {
    const auto set = ports_of(report, protocol);
    if (set.empty()) continue;
    const auto found = diagnosis->sockets(protocol, set);
    if (!found) return found.error().message;
    facts.sockets.insert(facts.sockets.end(), found->begin(), found->end());
  }
  return {};
}

// Of several processes that have a socket open, the look-up names one; the table may name another.
void add_owners_in_table(const PortsReport& report, const std::vector<std::uint64_t>& inodes, KernelFacts& facts) {
  std::set<std::uint32_t> pids;
  for (const auto& each : report.ports) pids.insert(each.pid);
  for (const auto& each : facts.owners) pids.erase(each.pid);
  pids.erase(0);
  for (const auto pid : pids) {
    const auto found = ports::open_sockets(pid, inodes);
    if (found.empty()) continue;
    const auto identity = ports::identify_process(static_cast<pid_t>(pid));
    if (!identity) continue;
    const auto row = std::ranges::find(report.ports, pid, &PortReport::pid);
    for (const auto inode : found) {
      facts.owners.push_back({.socket_inode = inode,
                              .pid = pid,
                              .uid = identity->uid,
                              .pidfd_inode = shm::pidfd_inode(identity->pidfd.get()),
                              .program = row->program});
    }
  }
}

void ask_about_processes(KernelFacts& facts) {
  std::set<std::uint32_t> pids;
  for (const auto& each : facts.owners) pids.insert(each.pid);
  for (const auto pid : pids) {
    if (auto identity = ports::identify_process(static_cast<pid_t>(pid))) {
      facts.processes[pid] = {.uid = identity->uid, .gids = std::move(identity->gids)};
    }
    if (has_library(pid, kPreloadLibrary)) facts.preloaded.push_back(pid);
    for (auto each = pid; each != 0 && !facts.parents.contains(each);) {
      const auto parent = parent_of(each);
      facts.parents[each] = parent;
      each = parent;
    }
  }
}

}  // namespace

KernelFacts ask_kernel(const PortsReport& report) {
  KernelFacts facts;
  if (share_network(static_cast<std::uint32_t>(::getpid()), report.engine.pid) == false) {
    facts.trouble = "the engine is in another network namespace than this command: nsenter -t " +
                    std::to_string(report.engine.pid) + " -n tlsmux ports";
    return facts;
  }
  facts.trouble = ask_about_sockets(report, facts);
  if (!facts.trouble.empty()) return facts;
  std::vector<std::uint64_t> inodes;
  for (const auto& each : facts.sockets) {
    if (!each.is_time_wait && each.inode != 0) inodes.push_back(each.inode);
  }
  facts.owners = ports::find_socket_owners(inodes);
  add_owners_in_table(report, inodes, facts);
  ask_about_processes(facts);
  facts.broker_pid = parent_of(report.engine.pid);
  return facts;
}

}  // namespace tlsmux::client::cli
