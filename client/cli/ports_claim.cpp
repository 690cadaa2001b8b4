#include "client/cli/ports_claim.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

#include "client/cli/brief_client.hpp"
#include "client/cli/environment.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/observe.hpp"
#include "client/cli/ports_report.hpp"
#include "client/cli/process_facts.hpp"
#include "client/cli/table.hpp"
#include "client/ports/port_type.hpp"

namespace tlsmux::client::cli {
namespace {

int fail(const char* command, const std::string& why, int exit_code) {
  std::fprintf(stderr, "tlsmux ports %s: %s\n", command, escaped(why).c_str());
  return exit_code;
}

int fail(const char* command, const shm::SystemError& error) {
  return fail(command, error.message, exit_code_of_error(error.code));
}

bool fits_name(const std::string& group) { return !group.empty() && group.size() <= config::kNameBytesMax; }

std::uint32_t owner_or_shell(std::uint32_t pid) { return pid != 0 ? pid : asking_process(); }

// Why the port is not this process's to give back, by the group's table; nothing: it is.
std::optional<std::string> find_obstacle(const PortsReport& tables, ports::Port port, std::uint32_t owner) {
  const auto number = std::to_string(port.number) + "/" + std::string(ports::name(port.protocol));
  const auto row = std::ranges::find(tables.ports, port, &PortReport::port);
  if (row == tables.ports.end()) return number + " is nobody's in group " + tables.engine.group;
  if (row->pid != owner) {
    return number + " is " + std::string(state_name(*row->state)) +
           (row->pid == 0 ? "" : " by pid " + std::to_string(row->pid) + " (" + row->program + ")") + ", not by pid " +
           std::to_string(owner) + ": name its owner by --for";
  }
  if (row->state == shm::PortState::quarantine) return number + " was given back before";
  return std::nullopt;
}

}  // namespace

int run_ports_claim(const PortsClaimOptions& options) {
  const auto type = read_port_type(options.type);
  if (!type) {
    return fail("claim", options.type + ": must be dynamic, dynamic:LABEL, static or static:LABEL", kExitUsage);
  }
  const auto protocol = read_protocol(options.protocol);
  if (!protocol || !fits_name(options.group)) return fail("claim", "no such group or protocol", kExitUsage);
  auto client = BriefClient::attach(control_socket_or_usual(options.control_socket), options.group);
  if (!client) return fail("claim", client.error());
  shm::ClaimPortRequest request{.header = {},
                                .kind = type->kind,
                                .protocol = ports::bit_of(*protocol),
                                .port = 0,
                                .owner_pid = owner_or_shell(options.owner_pid),
                                .leases = 0,
                                .reserved0 = 0,
                                .label = {},
                                .reserved = {}};
  shm::set_text(request.label, type->label);
  const auto claimed = client->ask<shm::ClaimPortReply>(request);
  if (!claimed) return fail("claim", claimed.error());
  if (claimed->share_port != 0) {
    std::fputs("tlsmux ports claim: the group's ports have holders: bind it with SO_REUSEPORT\n", stderr);
  }
  std::printf("%u\n", claimed->port);
  return kExitDone;
}

int run_ports_release(const PortsReleaseOptions& options) {
  const auto protocol = read_protocol(options.protocol);
  if (!protocol || !fits_name(options.group)) return fail("release", "no such group or protocol", kExitUsage);
  const auto control_socket = control_socket_or_usual(options.control_socket);
  const auto owner = owner_or_shell(options.owner_pid);
  auto client = BriefClient::attach(control_socket, options.group);
  if (!client) return fail("release", client.error());
  const auto observed = observe_group(control_socket, options.group);
  if (!observed) return fail("release", observed.error());
  const ports::Port port{.protocol = *protocol, .number = options.port};
  const auto tables = read_port_tables(*observed, 0);
  if (const auto obstacle = find_obstacle(tables, port, owner)) return fail("release", *obstacle, kExitFailed);
  const shm::ReleasePortRequest request{
      .header = {}, .protocol = ports::bit_of(*protocol), .port = options.port, .in_use = 0, .owner_pid = owner};
  if (const auto told = client->tell(request); !told) return fail("release", told.error());
  // It has no answer; that of the next question comes after it was done.
  const auto done = client->ask<shm::ListGroupsReply>(shm::ListGroupsRequest{});
  return done ? kExitDone : fail("release", done.error());
}

}  // namespace tlsmux::client::cli
