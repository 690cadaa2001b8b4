#include "client/cli/ports_text.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "client/cli/engine_text.hpp"
#include "client/cli/table.hpp"
#include "client/cli/time_text.hpp"
#include "ports/book/port_set.hpp"

namespace tlsmux::client::cli {
namespace {

using shm::PortState;

constexpr std::size_t kDenialsShown = 10;

std::string joined(const std::vector<std::string_view>& words, std::string_view between) {
  std::string text;
  for (const auto word : words) {
    if (!text.empty()) text += between;
    text += word;
  }
  return text;
}

std::string port_text(ports::Port port) {
  return std::to_string(port.number) + "/" + std::string(ports::name(port.protocol));
}

std::string counted(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string account_text(std::uint32_t number, const std::string& name) {
  return name.empty() ? std::to_string(number) : escaped(name);
}

std::string accounts_text(const char* what, const std::vector<PortAccount>& accounts) {
  std::string text;
  for (const auto& each : accounts) {
    text += text.empty() ? what : ", ";
    text += account_text(each.number, each.name);
    if (!each.name.empty()) text += " (" + std::to_string(each.number) + ")";
  }
  return text;
}

std::string head_text(const PortsReport& report) {
  auto text = engine_text(report.engine);
  const auto users = accounts_text("users ", report.rules.users);
  const auto unix_groups = accounts_text("Unix groups ", report.rules.unix_groups);
  const auto* const between = users.empty() || unix_groups.empty() ? "" : "; ";
  text += "members: " + (users.empty() && unix_groups.empty() ? "none" : users + between + unix_groups) + "\n";
  return text;
}

std::string static_ports_text(const PortsReport& report) {
  if (report.rules.static_ports.empty()) return "";
  Table table({"STATIC PORT", "LABEL", "FOR PROGRAM"});
  for (const auto& each : report.rules.static_ports) {
    table.add({std::to_string(each.port) + "/" + joined(protocol_names(each.protocols), "+"), escaped(each.label),
               each.program.empty() ? "any" : escaped(each.program)});
  }
  return "\n" + table.text();
}

std::string dynamic_ports_text(const PortsReport& report) {
  Table table({"DYNAMIC PORTS", "FREE", "OF"});
  bool has_any = false;
  for (const auto protocol : ports::kProtocols) {
    ports::PortSet set;
    for (const auto& each : report.rules.dynamic) {
      const bool is_of_it = (each.protocols & ports::bit_of(protocol)) != 0 && each.from <= each.to;
      if (is_of_it) set.add(ports::PortRange{.from = each.from, .to = each.to});
    }
    if (set.empty()) continue;
    has_any = true;
    table.add({set.text() + "/" + std::string(ports::name(protocol)),
               std::to_string(report.dynamic_free[index_of(protocol)]),
               std::to_string(report.dynamic_ports[index_of(protocol)])});
  }
  if (has_any) return "\n" + table.text();
  return report.rules.static_ports.empty() ? "\nthe configuration gives this group no ports\n" : "";
}

std::string levels_text(const PortsReport& report) {
  std::string text;
  std::string reasons;
  for (const auto& each : report.levels) {
    const bool is_missing = each.state == shm::PortEnforcement::missing;
    const std::string level(each.level);
    text += (text.empty() ? "\nlevels: " : ", ") + level + " " +
            (is_missing ? "MISSING" : std::string(state_name(each.state)));
    if (!each.text.empty()) reasons += "  " + level + ": " + escaped(each.text) + "\n";
  }
  return text + "\n" + reasons;
}

// What a process has been given in advance and has not taken.
bool is_idle_lease(const PortReport& port) {
  return port.state == PortState::leased && port.is_held != true && port.differences.empty();
}

std::string leases_text(const PortsReport& report) {
  std::map<std::tuple<std::uint32_t, std::string, ports::Protocol>, ports::PortSet> leases;
  for (const auto& each : report.ports) {
    if (is_idle_lease(each)) leases[{each.pid, each.program, each.port.protocol}].add(each.port.number);
  }
  std::string text;
  for (const auto& [process, set] : leases) {
    const auto& [pid, program, protocol] = process;
    text += "on lease to pid " + std::to_string(pid) + " (" + escaped(program) + "): " + set.text() + "/" +
            std::string(ports::name(protocol)) + "\n";
  }
  return text.empty() ? "" : "\n" + text;
}

std::string remark_text(const PortReport& port, std::int64_t now_s) {
  auto words = joined(flag_names(port.flags), ", ");
  const auto add = [&](const std::string& more) { words += (words.empty() ? "" : ", ") + more; };
  if (port.is_listening) add("listens");
  if (port.sockets > 1) add(counted(port.sockets, "socket"));
  if (port.lingers) add("TIME_WAIT");
  if (port.state == PortState::quarantine && port.until_s != 0) add("free in " + span_text(port.until_s - now_s));
  const auto child = std::ranges::find(port.holders, true, &PortHolderReport::is_descendant);
  const bool has_it = std::ranges::find(port.holders, port.pid, &PortHolderReport::pid) != port.holders.end();
  if (child != port.holders.end() && !has_it) {
    add("child " + std::to_string(child->pid) + " (" + escaped(child->program) + ")");
  }
  return words;
}

std::string ports_table(const PortsReport& report, std::int64_t now_s) {
  Table table({"", "PORT", "STATE", "FOR", "PID", "PROGRAM", "USER", "LABEL", "REMARK"});
  std::size_t rows = 0;
  for (const auto& each : report.ports) {
    if (is_idle_lease(each)) continue;
    ++rows;
    const auto* const holder = each.pid == 0 && !each.holders.empty() ? &each.holders.front() : nullptr;
    const auto pid = holder != nullptr ? holder->pid : each.pid;
    std::string user = "-";
    if (holder != nullptr) {
      user = account_text(holder->uid, holder->user);
    } else if (each.pid != 0) {
      user = account_text(each.uid, each.user);
    } else if (!each.hidden_uids.empty()) {
      user = account_text(each.hidden_uids.front(), "");
    }
    const auto& program = holder != nullptr ? holder->program : each.program;
    table.add({each.differences.empty() ? " " : "!", port_text(each.port),
               each.state ? std::string(state_name(*each.state)) : "-",
               each.since_s == 0 ? "-" : span_text(now_s - each.since_s), pid == 0 ? "-" : std::to_string(pid),
               program.empty() ? "-" : escaped(program), user, each.label.empty() ? "-" : escaped(each.label),
               remark_text(each, now_s)});
  }
  return rows == 0 ? "\nno ports are held\n" : "\n" + table.text();
}

std::string differences_text(const PortsReport& report) {
  if (!report.kernel_trouble.empty()) {
    return "\nWARNING: not compared with the kernel: " + escaped(report.kernel_trouble) + "\n";
  }
  std::string text;
  for (const auto& port : report.ports) {
    for (const auto& each : port.differences) {
      text += "! " + port_text(port.port) + " " + std::string(each.code) + ": " + each.text + "\n";
    }
  }
  text = text.empty()
             ? "\ntable and kernel agree\n"
             : "\nDIFFERENCES between table and kernel: " + std::to_string(count_differences(report)) + "\n" + text;
  if (report.sockets_hidden > 0) {
    text += "of " + counted(report.sockets_hidden, "socket") + " it cannot be told which process has " +
            (report.sockets_hidden == 1 ? "it" : "them") + "; more is told to root\n";
  }
  if (!report.sees_bound_sockets) {
    text += "this kernel does not tell of TCP sockets that are bound and do not listen (Linux 6.8 does)\n";
  }
  return text;
}

std::string counters_text(const PortsReport& report, std::int64_t now_s) {
  auto text = "\nclaims " + std::to_string(report.claims) + ", refused " + std::to_string(report.claims_refused) +
              "; binds denied by the guard " + std::to_string(report.denials);
  if (report.denials_lost > 0) text += ", of which " + std::to_string(report.denials_lost) + " not told one by one";
  text += "\n";
  if (report.last_denials.empty()) return text;
  Table table({"DENIED", "AGO", "PID", "PROGRAM", "USER"});
  for (std::size_t i = 0; i < std::min(report.last_denials.size(), kDenialsShown); ++i) {
    const auto& each = report.last_denials[i];
    table.add({port_text(each.port), span_text(now_s - each.at_s), std::to_string(each.pid), escaped(each.program),
               account_text(each.uid, each.user)});
  }
  return text + table.text();
}

}  // namespace

std::string ports_text(const PortsReport& report, std::int64_t now_s) {
  // What is short or urgent comes first: a terminal has few lines.
  return head_text(report) + dynamic_ports_text(report) + levels_text(report) + differences_text(report) +
         ports_table(report, now_s) + leases_text(report) + counters_text(report, now_s) + static_ports_text(report);
}

}  // namespace tlsmux::client::cli
