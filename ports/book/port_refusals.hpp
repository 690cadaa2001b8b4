#pragma once

// Why a claim is refused, in words for whoever asked. No text holds a name that a process gave itself.

#include <string>

#include "ports/book/port_book.hpp"
#include "ports/book/port_entry.hpp"
#include "ports/book/port_plan.hpp"
#include "ports/protocol.hpp"

namespace tlsmux::ports::refusals {

ClaimRefusal unknown_process();
ClaimRefusal not_in_plan(const PortPlan& plan, Port port);
ClaimRefusal other_program(const PortPlan& plan, const PortPlan::StaticPort& port);
ClaimRefusal no_such_label(const PortPlan& plan, Protocol protocol, bool is_of_other_protocol);
ClaimRefusal no_static_port(const PortPlan& plan, Protocol protocol);
ClaimRefusal no_static_port_free(const PortPlan& plan, Protocol protocol);
ClaimRefusal no_dynamic_port(const PortPlan& plan, Protocol protocol);
ClaimRefusal has_its_fill(const PortPlan& plan);
ClaimRefusal taken(const PortPlan& plan, const PortEntry& entry, bool is_owner_dead);

}  // namespace tlsmux::ports::refusals
