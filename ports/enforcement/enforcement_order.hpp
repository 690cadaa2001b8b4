#pragma once

// What a configuration asks of the reservation and the guard, in ids and numbers.

#include <sys/types.h>

#include <array>
#include <expected>

#include "config/config.hpp"
#include "config/config_error.hpp"
#include "ports/book/port_set.hpp"
#include "ports/guard.hpp"

namespace tlsmux::ports {

struct EnforcementOrder {
  PortSet reserved;    // of both protocols and all groups that want it
  GuardRules guarded;  // of the groups that want it, in their order

  [[nodiscard]] bool is_empty() const { return reserved.empty() && guarded.services.empty(); }
  // The ports in `guarded`, of both protocols.
  [[nodiscard]] PortSet guarded_ports() const;
};

// The engine counts as a member of groups whose ports it uses itself (tcp.source_ports). Blocks on the account
// database. Errors: accounts that cannot be resolved.
std::expected<EnforcementOrder, config::ConfigErrors> make_order(const config::Config& config, uid_t engine_uid);

}  // namespace tlsmux::ports
