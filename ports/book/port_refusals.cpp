#include "ports/book/port_refusals.hpp"

#include <cerrno>

namespace tlsmux::ports::refusals {
namespace {

std::string shown(Port port) { return "port " + std::to_string(port.number) + "/" + std::string(name(port.protocol)); }

std::string look(const PortPlan& plan) { return "`tlsmux ports " + plan.service + "` shows who has which"; }

// The pid is 0 where the process is in another pid namespace.
std::string shown(const PortOwner& owner) {
  const auto pid = owner.pid == 0 ? "a process without a pid here" : "process " + std::to_string(owner.pid);
  return pid + " of uid " + std::to_string(owner.uid);
}

std::string static_settings(const PortPlan& plan) { return "ports.static of the group " + plan.service; }

}  // namespace

ClaimRefusal unknown_process() {
  return {EACCES,
          "the process has neither a pid nor a pidfd here, so its end could not be seen; run it in the engine's pid "
          "namespace, or on Linux 6.9 or later"};
}

ClaimRefusal not_in_plan(const PortPlan& plan, Port port) {
  return {EACCES, shown(port) + " is not one of the group " + plan.service + "; use one that `tlsmux ports " +
                      plan.service + "` lists, or add it to the group's ports"};
}

ClaimRefusal other_program(const PortPlan& plan, const PortPlan::StaticPort& port) {
  return {EACCES, shown(port.port) + " is only for the program \"" + port.program + "\" by " + static_settings(plan) +
                      "; run that, or change `program` there"};
}

ClaimRefusal no_such_label(const PortPlan& plan, Protocol protocol, bool is_of_other_protocol) {
  const std::string kind(name(protocol));
  if (is_of_other_protocol) {
    return {ENOENT, "the static port with this label is not one of " + kind + "; use the other protocol, or set " +
                        "`protocol` to \"both\" in " + static_settings(plan)};
  }
  return {ENOENT, "no static " + kind + " port has this label; add it to " + static_settings(plan)};
}

ClaimRefusal no_static_port(const PortPlan& plan, Protocol protocol) {
  return {ENOENT, "the group " + plan.service + " has no static " + std::string(name(protocol)) + " port; add one to " +
                      "its ports.static, or ask for a dynamic one"};
}

ClaimRefusal no_static_port_free(const PortPlan& plan, Protocol protocol) {
  return {EADDRINUSE,
          "every static " + std::string(name(protocol)) + " port that this program may have is taken; " + look(plan)};
}

ClaimRefusal no_dynamic_port(const PortPlan& plan, Protocol protocol) {
  const auto count = plan.dynamic[index_of(protocol)].count();
  const std::string kind(name(protocol));
  if (count == 0) {
    return {EADDRINUSE,
            "the group " + plan.service + " has no dynamic " + kind + " ports; add a range to its ports.dynamic"};
  }
  return {EADDRINUSE, "none of the " + std::to_string(count) + " dynamic " + kind + " ports of the group " +
                          plan.service + " is free; " + look(plan) + "; release some, or widen ports.dynamic"};
}

ClaimRefusal has_its_fill(const PortPlan& plan) {
  return {EADDRINUSE, "the process has all of the " + std::to_string(plan.per_process_max) +
                          " ports that ports.per_process_max of the group " + plan.service +
                          " allows; release some, or raise it"};
}

ClaimRefusal taken(const PortPlan& plan, const PortEntry& entry, bool is_owner_dead) {
  const auto port = shown(entry.port);
  const auto owner = shown(entry.owner);
  switch (entry.state) {
    case shm::PortState::quarantine:
      return {EADDRINUSE, port + " was in use a moment ago and is kept back for reuse_delay_ms; try later, or another"};
    case shm::PortState::external:
      return {EADDRINUSE,
              port + " is held by a socket that nobody claimed; " + look(plan) + "; end that, or use another"};
    case shm::PortState::leased:
      return {EADDRINUSE, port + " is kept ready for " + owner + "; ask for any dynamic port, or use another"};
    default: break;
  }
  if (is_owner_dead) {
    return {EADDRINUSE,
            port + " was held by " + owner + ", which has ended, and a socket may still be there; try again"};
  }
  return {EADDRINUSE, port + " is held by " + owner + "; end that, or use another; " + look(plan)};
}

}  // namespace tlsmux::ports::refusals
