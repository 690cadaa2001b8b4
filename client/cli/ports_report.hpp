#pragma once

// What `tlsmux ports` shows of one group, as plain values: its two tables, and beside each port what the kernel says.
// Names of programs are as the processes call themselves: escape them before a terminal.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/engine_facts.hpp"
#include "client/cli/observe.hpp"
#include "ports/protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/layout.hpp"

namespace tlsmux::client::cli {

struct PortAccount {
  std::uint32_t number = 0;  // uid or gid
  std::string name = {};     // empty: the machine knows none
};

struct StaticPortReport {
  std::uint16_t port = 0;
  std::uint32_t protocols = 0;  // shm::kPortTcp and kPortUdp
  std::string label;
  std::string program;  // the only one that may have it; empty: any
};

struct DynamicPortsReport {
  std::uint16_t from = 0;
  std::uint16_t to = 0;
  std::uint32_t protocols = 0;
};

struct PortRulesReport {
  std::vector<PortAccount> users;
  std::vector<PortAccount> unix_groups;
  std::vector<StaticPortReport> static_ports;
  std::vector<DynamicPortsReport> dynamic;
};

struct PortLevelReport {
  std::string_view level;  // "api", "preload", "reservation", "holders", "guard"
  shm::PortEnforcement state{};
  std::string text;  // missing: why
};

// A process that has a socket of the port open.
struct PortHolderReport {
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::string user = {};
  std::string program = {};
  std::uint64_t pidfd_inode = 0;
  std::optional<bool> is_member = {};  // nothing: it has ended meanwhile
  bool is_descendant = false;          // of the owner in the table
};

struct PortDifference {
  std::string_view code;  // see ports/PORTS.md
  std::string text;       // for people, fit for a terminal
};

struct PortReport {
  ports::Port port;
  // As in the table.
  std::optional<shm::PortState> state = {};  // nothing: it is not there
  std::uint8_t flags = 0;                    // shm::PortFlags
  std::uint32_t pid = 0;                     // of the owner; 0: unknown
  std::uint32_t uid = 0;
  std::string user = {};
  std::string program = {};
  std::string label = {};
  std::uint64_t pidfd_inode = 0;
  std::uint64_t socket_inode = 0;
  std::int64_t since_s = 0;
  std::int64_t until_s = 0;  // of a quarantine
  // As the kernel says.
  std::optional<bool> is_held = {};  // nothing: unknown
  bool is_listening = false;
  bool lingers = false;       // held by nobody, but in TIME_WAIT
  std::uint32_t sockets = 0;  // connections included
  std::vector<PortHolderReport> holders = {};
  std::vector<std::uint32_t> hidden_uids = {};  // of sockets whose holder cannot be seen
  std::vector<PortDifference> differences = {};
};

struct PortDenialReport {
  std::uint64_t number = 0;
  std::int64_t at_s = 0;
  ports::Port port;
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string user = {};
  std::string program = {};
};

struct PortsReport {
  EngineFacts engine;
  std::string kernel_trouble = {};   // why the kernel was not asked; empty: it was
  bool sees_bound_sockets = true;    // of TCP, those that neither listen nor are connected
  std::uint32_t sockets_hidden = 0;  // whose holder this user may not see, or that no process has open
  std::uint32_t holder_sockets = 0;  // sockets of the level "holders"
  PortRulesReport rules = {};
  std::array<std::uint32_t, 2> dynamic_ports{};  // by protocol
  std::array<std::uint32_t, 2> dynamic_free{};
  std::vector<PortLevelReport> levels = {};
  std::uint64_t claims = 0;
  std::uint64_t claims_refused = 0;
  std::uint64_t denials = 0;
  std::uint64_t denials_lost = 0;
  std::vector<PortReport> ports = {};               // by protocol and number
  std::vector<PortDenialReport> last_denials = {};  // the newest first
};

// The tables alone. Rows that the engine keeps changing, or died while changing, are left out. `now_ns` is CLOCK_MONOTONIC.
PortsReport read_port_tables(const ObservedGroup& observed, std::uint64_t now_ns);

[[nodiscard]] std::uint32_t count_differences(const PortsReport& report);

std::string_view state_name(shm::PortState state);
std::string_view state_name(shm::PortEnforcement state);
// "static", "grandfathered", "observed", "engine": those that are set.
std::vector<std::string_view> flag_names(std::uint8_t flags);
// "tcp", "udp": those that are set.
std::vector<std::string_view> protocol_names(std::uint32_t protocols);

}  // namespace tlsmux::client::cli
